"""What a file, a server or an image may cost: memory, time, and what is left behind. Each refusal is one line."""

import glob
import io
import os
import pathlib
import signal
import time
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.images import ImageError, ImageRows, open_rgb, within_memory
from datasets.names import images_list_path, list_images
from datasets.prepare.exif import read_exif
from datasets.prepare.records import Unusable
from datasets.prepare.tables import Table
from datasets.test_dataset import ImageFolder
from model.checkpoints import load_network
from model.network import GeoLocalizationNet
from model.packing import pack
from model.pretrained import load_initial_weights
from report.training import read_metrics
from retrieval import descriptors
from support import downloads, files
from support.errors import UserError
from support.files import read_object, read_tensors, remove_temporaries, replacing
from support.memory import taking_at_most
from support.plain_values import check_plain
from support.recipes import expand_recipes
from tests.file_server import running_server
from tests.photos import photo
from training.ingredients import load_ingredients
from training.run_files import RUN_STATE_KEYS, load_run_state


@pytest.fixture(autouse=True)
def nothing_hangs(workdir):
    signal.alarm(120)
    yield
    signal.alarm(0)


# --- temporary files of killed processes


def writer(path, go_on):
    """A process that is in the middle of replacing a file, until it is killed or told to go on."""
    pid = os.fork()
    if pid:
        while not glob.glob(f".{path}.*.tmp"):
            time.sleep(0.005)
        return pid
    code = 1
    try:
        with replacing(path) as temporary:
            pathlib.Path(temporary).write_text("theirs")
            os.read(go_on, 1)
        code = 0
    finally:
        os._exit(code)


def killed(path, go_on):
    pid = writer(path, go_on)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return glob.glob(f".{path}.*.tmp")


def test_the_next_writer_removes_what_a_killed_one_left(workdir):
    wait, _ = os.pipe()
    assert killed("x", wait)
    with replacing("x") as temporary:
        pathlib.Path(temporary).write_text("ours")
    assert os.listdir() == ["x"] and killed("x", wait)
    remove_temporaries(".")
    assert os.listdir() == ["x"]


def test_no_living_writers_file_is_removed(workdir):
    wait, tell = os.pipe()
    pid = writer("x", wait)
    (theirs,) = glob.glob(".x.*.tmp")
    remove_temporaries(".")
    with replacing("x") as temporary:
        pathlib.Path(temporary).write_text("ours")
        assert temporary != theirs and os.path.exists(theirs)
    assert pathlib.Path("x").read_text() == "ours" and os.path.exists(theirs)
    os.write(tell, b"x")
    assert os.waitpid(pid, 0)[1] == 0
    assert pathlib.Path("x").read_text() == "theirs" and os.listdir() == ["x"]


def test_no_link_and_no_folder_is_written_through(workdir):
    pathlib.Path("other").write_text("other")
    os.symlink("other", ".x.1.tmp")
    os.mkdir(".x.2.tmp")
    with replacing("x") as temporary:
        pathlib.Path(temporary).write_text("ours")
    assert pathlib.Path("other").read_text() == "other" and pathlib.Path("x").read_text() == "ours"
    with replacing("é" * 127):
        pass


# --- files of tensors


@pytest.fixture(scope="module")
def network():
    return GeoLocalizationNet("ResNet18", 8)


UNUSABLE = {
    "a tensor of complex numbers": lambda weight: weight + 1j,
    "a sparse tensor": torch.Tensor.to_sparse,
    "a quantized tensor": lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8),
    "a tensor without data": lambda weight: weight.to("meta"),
    "a tensor of float8_e4m3fn": lambda weight: weight.to(torch.float8_e4m3fn),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", UNUSABLE)
def test_only_plain_real_numbers_are_read(workdir, network, kind):
    state_dict = {**network.state_dict(), "aggregation.3.weight": UNUSABLE[kind](torch.zeros(8, 512))}
    torch.save(state_dict, "x.pth")
    torch.save({**{key: kind() for key, kind in RUN_STATE_KEYS.items()}, "model_state_dict": state_dict}, "run.pth")
    for path, read in (
        ("x.pth", load_network),
        ("x.pth", lambda path: load_ingredients([path], (None, None), None)),
        ("x.pth", lambda path: load_initial_weights(network.backbone, "ResNet18", path)),
        ("x.pth", lambda path: pack(path, "y.pth")),
        ("run.pth", load_run_state),
    ):
        with pytest.raises(UserError, match=f"{path} is not used: its entry '.*aggregation.3.weight' is {kind}"):
            read(path)


def unpacking_to_much():
    buffer = io.BytesIO()
    torch.save({"x": torch.zeros(5_000_000)}, buffer)
    with zipfile.ZipFile(buffer) as plain, zipfile.ZipFile("x.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))


def of_many_texts():
    """A pickle that encodes a text of 1 MB six hundred times."""
    text = b"X" + (1 << 20).to_bytes(4, "little") + b"a" * (1 << 20) + b"q\0"
    with zipfile.ZipFile("x.pth", "w") as file:
        file.writestr("x/version", b"3")
        file.writestr("x/data.pkl", b"\x80\x02](" + text + b"c_codecs\nencode\nq\1" + b"h\1h\0\x85R" * 600 + b"e.")


def of_many_entries():
    with zipfile.ZipFile("x.pth", "w") as file:
        for number in range(30):
            file.writestr(f"x/{number}", b"")


def without_end():
    value = []
    for _ in range(40):
        value = [value, value]
    torch.save(value, "x.pth")


def in_itself():
    value = {}
    value["x"] = value
    torch.save(value, "x.pth")


HOSTILE = {
    "is cut off or damaged .it has 0.0 MB and would unpack to 20.0 MB": unpacking_to_much,
    "is not used: its tensors claim 4000000.0 MB": lambda: torch.save(torch.zeros(1).expand(10**12), "x.pth"),
    "is not read: that takes more memory than": of_many_texts,
    "is cut off or damaged .it has 30 entries": of_many_entries,
    "is not used: it has more than 10000000 values": without_end,
    "is not used: its values are nested too deeply": in_itself,
    "cannot be read: it is no regular file": lambda: os.mkfifo("x.pth"),
    "x.pth cannot be read: it is no regular file": lambda: os.symlink("/dev/zero", "x.pth"),
    "is not read: it holds 3.0 GB": lambda: os.truncate(os.open("x.pth", os.O_CREAT | os.O_WRONLY), 3 * 10**9),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("problem", HOSTILE)
def test_a_file_of_tensors_costs_what_its_size_allows(workdir, monkeypatch, problem):
    monkeypatch.setattr(files, "_ROOM", 24 << 20)
    monkeypatch.setattr(files, "_MOST_ENTRIES", 20)
    HOSTILE[problem]()
    with pytest.raises(UserError, match=problem):
        read_tensors("x.pth", files.LARGEST_WEIGHTS)


@pytest.mark.parametrize("kind", ["tied", "state_dict under six names", "expanded", "buffer of stride 0"])
def test_tensors_that_share_memory_count_once(workdir, network, kind):
    weight = torch.rand(500_000)
    expected = {
        "tied": {str(number): weight for number in range(12)},
        "state_dict under six names": {str(number): network.state_dict() for number in range(6)},
        "expanded": {"x": torch.ones(1).expand(1000, 1000)},
        "buffer of stride 0": {"x": torch.rand(5).as_strided((500, 500, 5), (0, 0, 1))},
    }[kind]
    torch.save(expected, "x.pth")
    found = read_tensors("x.pth")
    assert found.keys() == expected.keys()
    if kind != "state_dict under six names":
        assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_what_tensors_take_and_what_they_claim_are_bounded_each(workdir):
    weight = torch.zeros(1000)
    assert check_plain([weight, weight, weight[:500]], 4000) == 10_000
    with pytest.raises(ValueError, match="its tensors take 0.0 MB, and it can hold 0.0 MB at most"):
        check_plain([weight, weight.clone()], 4000)
    for value in ([torch.zeros(10**6)] * 300, torch.zeros(10**6).expand(300, 10**6)):
        torch.save(value, "x.pth")
        with pytest.raises(UserError, match="claim 1200.0 MB, far more than the file holds.*that it is the right file"):
            read_tensors("x.pth")


def test_a_network_of_many_zeros_is_packed_and_read_back(workdir, monkeypatch):
    network = GeoLocalizationNet("ResNet18", 8)
    for value in network.parameters():
        if value.dim() == 4:
            value.data.zero_()
    torch.save(network.state_dict(), "x.pth")
    pack("x.pth", "y.pth")
    assert os.path.getsize("y.pth") < 300_000
    assert not load_network("y.pth").state_dict()["backbone.0.weight"].any()

    def damage(path):
        with open(path, "r+b") as file:
            file.seek(20_000)
            file.write(b"damaged" * 10)

    monkeypatch.setattr(files, "_forget_pages", damage)
    with pytest.raises(UserError, match="z.pth was written and read back damaged"):
        pack("x.pth", "z.pth")
    assert sorted(os.listdir()) == ["x.pth", "y.pth"]


def test_no_network_is_too_large_to_be_packed():
    with torch.device("meta"):
        largest = GeoLocalizationNet("ConvNeXt_Base", 2048).state_dict()
    assert sum(value.numel() for value in largest.values()) * 8 < files.LARGEST_NETWORK


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def with_other_offsets(data):
    """Its record of the end says that the directory begins a byte earlier than it does."""
    written_as(data)  # without torch's second record, for large zips
    data = pathlib.Path("x.pth").read_bytes()
    at = data.rindex(b"PK\5\6") + 16
    offset = int.from_bytes(data[at : at + 4], "little")
    pathlib.Path("x.pth").write_bytes(data[:at] + (offset - 1).to_bytes(4, "little") + data[at + 4 :])


def written_as(data, **options):
    """The same entries, written by zipfile."""
    with zipfile.ZipFile(io.BytesIO(data)) as plain, zipfile.ZipFile("x.pth", "w", **options) as file:
        for entry in plain.infolist():
            file.writestr(entry.filename, plain.read(entry))


def twice_the_same_name(data):
    written_as(data)
    with zipfile.ZipFile("x.pth", "a") as file:
        file.writestr("ARCHIVE/data/0", torch.ones(4).numpy().tobytes())


def in_a_zip(data):
    with zipfile.ZipFile("x.pth", "w") as file:
        file.writestr("best_model.pth", data)


OTHER_ZIPS = {
    "two that were joined": lambda data: pathlib.Path("x.pth").write_bytes(saved(torch.ones(4)) + data),
    "behind something else": lambda data: pathlib.Path("x.pth").write_bytes(b"abc" + data),
    "with other offsets": with_other_offsets,
    "twice the same name": twice_the_same_name,
    "LZMA": lambda data: written_as(data, compression=zipfile.ZIP_LZMA),
    "in a zip": in_a_zip,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", OTHER_ZIPS)
def test_what_is_read_is_what_was_checked(workdir, kind):
    data = saved(torch.zeros(4))
    written_as(data)
    assert read_tensors("x.pth").tolist() == [0, 0, 0, 0]
    OTHER_ZIPS[kind](data)
    with pytest.raises(UserError, match="x.pth is cut off or damaged .it is no file as torch.save writes it"):
        read_tensors("x.pth")


# --- other files


def test_no_reader_waits_for_a_fifo_or_reads_a_device(workdir):
    os.mkdir("folder")
    for path in ("x.csv", "x.json", "x.jpg", images_list_path("folder")):
        os.mkfifo(path)
    for read in (
        lambda: expand_recipes(["@x.csv"]),
        lambda: list_images("folder"),
        lambda: Table("x.csv", {}).read_csv(),
        lambda: Table("x.json", {}).read_geojson(),
        lambda: read_metrics("x.csv"),
        lambda: read_object("/dev/zero"),
        lambda: read_exif("x.jpg"),
    ):
        with pytest.raises((UserError, OSError, Unusable), match="no regular file|is not a text file"):
            read()


# --- downloads


@pytest.mark.parametrize("header", [True, False])
def test_a_server_that_sends_too_slowly_is_left(workdir, monkeypatch, header):
    monkeypatch.setattr(downloads, "_WINDOW", 0.3)
    with running_server(monkeypatch) as server:
        server.files["/x"], server.pause, server.length = bytes(10_000), 0.02, False
        if header:
            monkeypatch.setattr(
                "tests.file_server._Handler.send_response",
                lambda handler, code: [
                    (handler.wfile.write(b"x"), handler.wfile.flush(), time.sleep(0.02)) for _ in range(10_000)
                ],
            )
        with pytest.raises(UserError, match=r"x could not be fetched .the server sent \d+ bytes in 0 s"):
            downloads.fetch(server.address + "/x", os.path.abspath("x"), "x", lambda path: None)
    assert os.listdir() == []


def test_a_published_model_may_not_be_much_larger_than_its_weights(workdir, monkeypatch):
    from model.zoo import published

    with running_server(monkeypatch) as server:
        monkeypatch.setattr(published, "COSPLACE", server.address + "/{}_cosplace.pth")
        server.files["/ResNet18_32_cosplace.pth"] = bytes(70_000_000)
        with pytest.raises(UserError, match="ResNet18_32 could not be fetched .it has more than 0.0571 GB"):
            load_network("ResNet18_32")


# --- images that do not fit into memory


def test_an_image_that_does_not_fit_into_memory_is_named(workdir):
    os.mkdir("f")
    Image.new("L", (16_000, 16_000)).save("f/a.png", compress_level=1)  # more than what this process has freed
    photo().save("f/b.png")
    rows = ImageRows(1, (64, 48))
    with taking_at_most(100 << 20):
        with pytest.raises(ImageError, match="it does not fit into the memory that is left"):
            open_rgb("f/a.png")
        assert ImageFolder("f")[0] == (0, None, "it does not fit into the memory that is left")
        assert ImageFolder("f")[1][1].shape == (3, 48, 64)
        assert rows.fill(0, "f", ["a.png", "b.png"])
    assert rows.names == ["b.png"] and rows.unreadable == [("f/a.png", "it does not fit into the memory that is left")]
    for allocate in (torch.ones, np.ones):
        with taking_at_most(100 << 20), pytest.raises(ImageError, match="does not fit"), within_memory():
            allocate(10**9)


def test_descriptors_that_do_not_fit_into_memory_name_an_image(workdir, network, monkeypatch):
    def no_memory(*_):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(descriptors.Describer, "__call__", no_memory)
    os.mkdir("f")
    photo().save("f/b.png")
    with pytest.raises(UserError, match="descriptors of 1 images of 64 x 48 pixels, as 'f/b.png': lower --infer_batch"):
        descriptors.extract_descriptors(network, ImageFolder("f"))
