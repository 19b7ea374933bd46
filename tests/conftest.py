import os

# Set before torch and faiss are imported, and inherited by scripts that tests start: threads that wait for each other
# in a spin make small work a hundred times slower wherever something else uses the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import fcntl  # noqa: E402
import shutil  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402

from datasets.groups import open_groups  # noqa: E402
from datasets.pack.building import Packing, pack  # noqa: E402
from datasets.test_dataset import ImageFolder  # noqa: E402
from retrieval import store  # noqa: E402
from retrieval.cache import DescriptorCache  # noqa: E402
from tests import small  # noqa: E402
from tests.caches import NAMES, SETTINGS, touch, write_list  # noqa: E402
from tests.descriptors import make_images  # noqa: E402
from tests.scripts import run  # noqa: E402
from tests.tiny import SHORT, make_tiny, save_panoramas, save_place  # noqa: E402

# The first backward pass of a process decides whether it may fork afterwards, as tests of ranks do. After an export,
# whose stand-in tensors count as a GPU, it may not.
torch.ones(1, requires_grad=True).backward()


def pytest_collection_finish():
    """Only now, so that tests of each backbone are of the project's."""
    small.register()


@pytest.fixture(autouse=True)
def _back_in_the_project():
    """After a test, whose folder goes then, the next one begins where this one did."""
    folder = os.getcwd()
    yield
    os.chdir(folder)


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """An empty working folder, for logs/ and cache/."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SF_XL_PROCESSED_FOLDER", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    return tmp_path


# --- made once, and changed by no test


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """once(name, make): the folder of that name, in which make() has been called: by the first of the processes that
    run the tests, with the folder as its working folder. The others wait for it.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def find_or_make(name, make):
        folder, done = shared / name, shared / f"{name}.done"
        with open(shared / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                with pytest.MonkeyPatch.context() as patch:
                    patch.chdir(folder)
                    patch.setenv("TORCH_HOME", str(folder / "torch_home"))
                    make()
                done.touch()
        return folder

    return find_or_make


@pytest.fixture(scope="session")
def tiny(once):
    """The folder of the tiny data set."""
    return str(once("tiny", lambda: make_tiny(".")))


@pytest.fixture(scope="session")
def packed(once, tiny):
    """The folder of the tiny data set's packs, of 6 shards and fewer."""
    return str(once("packed", lambda: pack(tiny, "p", Packing(shard_size=60_000))) / "p")


@pytest.fixture(scope="session")
def panoramas(once):
    """The folder of panoramas of a street, for EigenPlaces."""
    return str(once("panoramas", lambda: save_panoramas("p")) / "p")


@pytest.fixture(scope="session")
def whole(once, tiny):
    """The log folder of an uninterrupted run with the flags SHORT."""
    import train

    (folder,) = once("whole", lambda: run(train, "--dataset_folder", tiny, *SHORT)).glob("logs/*/*")
    return str(folder)


# --- a test's own


@pytest.fixture
def copy(tiny, workdir):
    """A copy of the tiny data set, to be changed."""
    shutil.copytree(tiny, "copy")
    return "copy"


@pytest.fixture
def images(workdir, monkeypatch):
    """A folder of images, whose descriptors are three blocks."""
    monkeypatch.setattr(store, "_MIN_BATCHES", 8)
    make_images("f")
    return ImageFolder("f")


@pytest.fixture
def cache(workdir):
    """An empty cache of descriptors."""
    return DescriptorCache("kept")


@pytest.fixture
def listed(workdir):
    """A training folder with an old list, whose cache has been built."""
    touch(f"train/{NAMES[0]}")
    write_list(NAMES)
    open_groups("train", *SETTINGS)


@pytest.fixture
def places(workdir):
    """A database of several blocks, of two sizes, with copies under other names and a broken image; and its queries."""
    names = [save_place("db", place, 0, 1, size=64 if place % 3 else 48) for place in range(20)]
    queries = [save_place("q", place, 0, 2) for place in range(20)]
    for place in (3, 7, 12):
        shutil.copyfile(f"db/{names[place + 5]}", f"db/{names[place]}")
    os.truncate(f"db/{names[11]}", 40)
    os.truncate(f"q/{queries[18]}", 40)
