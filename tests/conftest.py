import os

# Set before torch and faiss are imported, and inherited by scripts that tests start: threads that wait for each other
# in a spin make small work a hundred times slower wherever something else uses the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402

from tests.tiny import make_tiny  # noqa: E402


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A data set that no test may change."""
    return make_tiny(tmp_path_factory.mktemp("tiny"))


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
