"""Whatever files hold, only the documented errors come of it: UserError, SystemExit(2) of argparse, ImageError,
ValueError of a store.

FUZZ_EXAMPLES=10000 pytest tests/test_fuzz.py tries so many inputs for each, drawn again; without it a few, always the
same.
"""

import contextlib
import copy
import functools
import io
import json
import os
import pathlib
import shutil
import tempfile
import zipfile
import zlib

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from datasets import groups
from datasets.groups import build_groups, open_groups
from datasets.image_names import ImageNames, split_lines
from datasets.images import ImageError, open_rgb, read_size
from datasets.names import EAST, HEADING, NORTH, parse_fields, write_images_list
from datasets.prepare.exif import read_exif
from datasets.prepare.records import Unusable
from model.checkpoints import load_network
from model.network import GeoLocalizationNet
from model.pretrained import load_initial_weights
from options import OPTIONS
from parser import parse_arguments
from retrieval.store import FolderStore, create_store
from retrieval.store_header import digest
from support import array_cache
from support.array_cache import npy_header, open_npy
from support.errors import UserError
from support.files import parse_object, read_tensors
from support.recipes import expand_recipes
from tests.caches import seal
from training.run_files import load_run_state

EXAMPLES = os.environ.get("FUZZ_EXAMPLES")
fuzz = settings(
    max_examples=int(EXAMPLES or 40),
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@st.composite
def damaged(draw, whole):
    """The bytes, or some of them flipped, cut off, doubled, put elsewhere or replaced."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(0, 4))):
        begin, end = sorted(draw(st.integers(0, len(data))) for _ in range(2))
        kind = draw(st.sampled_from(["flip", "flip", "flip", "cut", "double", "remove", "put"]))
        if kind == "flip" and begin < len(data):
            data[begin] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del data[end:]
        elif kind == "double":
            data[end:end] = data[begin:end]
        elif kind == "remove":
            del data[begin:end]
        else:
            put = draw(st.binary(max_size=12))
            data[begin : begin + len(put)] = put
    return bytes(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)

# --- names, lists, recipes, flags

FIELD = (
    st.sampled_from(
        [
            "551000",
            "4181000.25",
            "-3",
            "0",
            "",
            "nan",
            "inf",
            "1e30",
            "1e-400",
            "٣",
            "1_0",
            " 7",
            "0x1",
            "9" * 70,
            "+5.",
            "\x1b[2J",
            "\n",
            "/",
            "..",
        ]
    )
    | st.text(max_size=8)
    | st.floats().map(str)
    | st.integers().map(str)
)
NAME = (
    st.lists(FIELD, max_size=16).map("@".join)
    | st.text(max_size=30)
    | st.tuples(st.floats(0, 1e6), st.floats(0, 1e7), st.floats(-1e3, 1e3)).map(
        lambda v: f"@{v[0]}@{v[1]}@@@@@@@{v[2]}@@@@@@.jpg"
    )
)


@fuzz
@given(st.lists(NAME, min_size=1, max_size=8), st.integers(1, 60), st.integers(1, 400), st.integers(1, 9))
def test_image_names(names, M, alpha, N):
    names = [name.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape") for name in names]
    try:
        values = parse_fields(ImageNames.from_strings(names), (EAST, NORTH, HEADING))
        assert np.isfinite(values).all()
        expected = [[float(name.split("@")[field]) for field in (EAST, NORTH, HEADING)] for name in names]
        np.testing.assert_array_equal(values, expected)
        built = build_groups(names, M, alpha, N, 2, 1)
        found = [
            built.image_indices(g, row).tolist() for g in range(built.num_groups) for row in range(built.num_classes(g))
        ]
        assert sorted(sum(found, [])) == list(range(len(names)))
    except UserError as error:
        assert str(error) == "".join(
            c for c in str(error) if c.isprintable() or c in "\n\t" or "\ud800" <= c <= "\udfff" or ord(c) > 127
        )


@fuzz
@given(
    st.lists(
        st.sampled_from(
            [b"a.jpg", b"..", b"../", b"/", b"\n", b"\r\n", b" ", b"\t", b"\0", b"a/..", b"..b", b" .. ", b"\xff"]
        )
        | st.binary(max_size=6),
        max_size=20,
    ).map(b"".join)
)
def test_lists(data):
    lines = [line.strip(b" \t\r") for line in data.split(b"\n")]
    lines = [line for line in lines if line]
    safe = not any(line.startswith(b"/") or b".." in line.split(b"/") or b"\0" in line for line in lines)
    try:
        names = split_lines(np.frombuffer(data, np.uint8), "list")
        assert safe and [os.fsencode(name) for name in names] == lines
    except UserError:
        assert not safe or not lines


FLAGS = [option.flag for option in OPTIONS if not option.positional]
WORD = (
    st.sampled_from(FLAGS)
    | st.text(max_size=6)
    | st.sampled_from(
        [
            "0",
            "1",
            "-1",
            "0.5",
            "nan",
            "1e999",
            "none",
            "float32",
            "ResNet18",
            "@r0.txt",
            "@r1.txt",
            "@",
            "x",
            "''",
            "-",
            "--",
            "%s",
            "'",
            "\\",
            "#",
            "9" * 5000,
            "--M=3",
            "--device=cpu",
            "Flat",
            "\x1b[2J",
            "@\0",
        ]
    )
)


@fuzz
@given(
    st.lists(st.lists(WORD, max_size=6).map(" ".join) | st.text(max_size=20), max_size=5).map("\n".join),
    st.binary(max_size=40),
    st.lists(WORD, max_size=8),
    st.sampled_from(["train", "eval"]),
)
def test_recipes_and_flags(recipe, other, words, script):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("SF_XL_PROCESSED_FOLDER", raising=False)
        pathlib.Path("r0.txt").write_text(recipe, encoding="utf-8", errors="surrogatepass")
        pathlib.Path("r1.txt").write_bytes(other)
        try:
            assert all(isinstance(word, str) for word in expand_recipes(["@r0.txt", *words]))
        except UserError:
            pass
        try:
            args = parse_arguments(script, ["--dataset_folder", "x", *words, "@r0.txt"])
            assert args.M >= 1
        except SystemExit as stop:
            assert stop.code == 2


# --- headers, arrays, stores


@fuzz
@given(
    st.one_of(
        JSON.map(json.dumps).map(str.encode),
        JSON.map(json.dumps).map(str.encode).flatmap(damaged),
        st.binary(max_size=50),
    )
)
def test_json(text):
    try:
        assert isinstance(parse_object(text), dict)
    except ValueError:
        pass


@pytest.fixture(scope="module")
def array_cache_folder(tmp_path_factory):
    """A training set and its cache: (its folder, the cache's, {file's name: bytes})."""
    folder = tmp_path_factory.mktemp("fuzz")
    names = [f"@{551000 + 3 * i}@4181000@@@@@@@0@@@@@@.jpg" for i in range(20)]
    (folder / "train").mkdir()
    (folder / "train" / names[0]).touch()
    write_images_list(folder / "train", names)
    os.utime(folder / "train_images_paths.txt", (1e9, 1e9))
    open_groups(folder / "train", 10, 30, 2, 1, 2, folder / "cache")
    (cache,) = (folder / "cache").iterdir()
    return folder, cache, {path.name: path.read_bytes() for path in cache.iterdir()}


def replace(path, content):
    """Another file in its place: what is mapped stays."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


@fuzz
@given(st.data())
def test_caches_of_arrays(array_cache_folder, data):
    folder, cache, contents = array_cache_folder
    opened = groups._load(groups.Groups, cache, json.loads(contents["header.json"]))
    expected = {key: np.array(array) for key, array in opened.arrays().items()}
    name = data.draw(st.sampled_from(sorted(contents)))
    if name == "header.json" and data.draw(st.booleans()):
        header = json.loads(contents[name])
        key = data.draw(st.sampled_from(sorted(header)))
        content = json.dumps(header | {key: data.draw(JSON)}).encode()
    elif name != "header.json" and data.draw(st.booleans()):  # any header before the data
        array = np.load(io.BytesIO(contents[name]), allow_pickle=False)
        shape = data.draw(st.lists(st.integers(-3, 2**65), max_size=3) | st.just(list(array.shape)))
        dtype = data.draw(st.sampled_from(["<i8", "<i4", ">i8", "|u1", "<u4", "|O", "<f8", "|V8", "<U3"]))
        content = npy_header(dtype, shape) + data.draw(damaged(array.tobytes()))
    else:
        content = data.draw(damaged(contents[name]))
    sealed = name != "header.json" and data.draw(st.booleans())  # drawn before anything changes: a draw may end here
    replace(cache / name, content)
    if sealed:  # with the right checksums
        with contextlib.suppress(ValueError, EOFError):
            seal(cache)
    try:
        header, kind = {"version": groups._VERSION, "kind": "groups"}, groups.Groups
        loaded = array_cache.load(cache, header, kind.layout, kind.check)
        if loaded is not None:  # whatever it says, it says it within its arrays
            read = groups.Groups(**loaded[1])
            for group in range(read.num_groups):
                for row in range(read.num_classes(group)):
                    for index in read.image_indices(group, row):
                        try:
                            read.image_name(index)
                        except UserError:
                            pass
        opened = open_groups(folder / "train", 10, 30, 2, 1, 2, folder / "cache")
        if loaded is None:
            for key, array in opened.arrays().items():
                np.testing.assert_array_equal(array, expected[key])
    finally:
        cache.mkdir(exist_ok=True)
        for key, value in contents.items():
            replace(cache / key, value)


@fuzz
@given(st.sampled_from(["<i8", "|u1", "<f4"]), st.integers(0, 40), st.data())
def test_npy_headers(dtype, n, data):
    content = data.draw(damaged(npy_header(dtype, (n,)) + bytes(n * np.dtype(dtype).itemsize)))
    with tempfile.NamedTemporaryFile() as file:
        pathlib.Path(file.name).write_bytes(content)
        try:
            array = open_npy(file.name, ("int64", "uint8"))
            assert array.offset + array.nbytes == len(content) and array.sum() >= 0 or array.dtype == np.int64
        except ValueError:
            pass


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """(its folder, {file's name: bytes}) of a complete store and of one that is not."""
    found = []
    for complete in (False, True):
        folder = str(tmp_path_factory.mktemp("fuzz") / "s")
        header = {"dtype": "float32", "num_images": 8, "dim": 3, "block_size": 3, "identity": {}}
        opened = create_store(folder, ["a\nb", "c\\d", *"efghij"], header)
        for block in opened.pending()[: 3 if complete else 2]:
            opened.write(
                block, np.full((len(opened.rows(block)), 3), block + 1, np.float32), {opened.rows(block)[0]: "broken"}
            )
        if complete:
            opened.finish()
        opened.close()
        found.append((folder, {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}))
    return found


@fuzz
@given(st.data())
def test_stores(stores, data):
    folder, contents = data.draw(st.sampled_from(stores))
    name = data.draw(st.sampled_from(sorted(contents)))
    content = data.draw(damaged(contents[name]))
    if name == "header.json" and data.draw(st.booleans()):  # with the right digest
        header = json.loads(contents[name])
        header = header | {data.draw(st.sampled_from(sorted(header))): data.draw(JSON)}
        del header["digest"]
        content = json.dumps(header | {"digest": digest(header)}).encode()
    elif name == "blocks_0.jsonl" and data.draw(st.booleans()):
        entry = {"block": 0, "crc32": 1, "unreadable": {}} | {
            data.draw(st.sampled_from(["block", "crc32", "unreadable"])): data.draw(JSON)
        }
        line = json.dumps(entry).encode()
        content = b"%08x %b\n" % (zlib.crc32(line), line)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(content)
    try:
        opened = FolderStore(folder)
        assert opened.descriptors.shape == (opened.num_images, opened.dim) and set(opened.unreadable) <= set(
            range(opened.num_images)
        )
        assert all(0 <= block < opened.num_blocks for block in opened.done)
        opened.close()
        assert len(list(opened.names)) >= 0
    except (ValueError, FileNotFoundError):
        pass
    finally:
        shutil.rmtree(folder)
        os.makedirs(folder)
        for key, value in contents.items():
            pathlib.Path(folder, key).write_bytes(value)


# --- checkpoints


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


STATE = {
    "epoch_num": 3,
    "model_state_dict": {"a.weight": torch.arange(12.0).reshape(3, 4), "b": torch.tensor(7)},
    "best_val_recall1": 61.5,
    "optimizer_state_dict": {},
    "classifiers_state_dict": [{"weight": torch.ones(2, 2)}],
    "optimizers_state_dict": [{}],
}


def zipped(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@fuzz
@given(st.data())
def test_damaged_checkpoints(data):
    """Equal to what was written, or refused."""
    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        pathlib.Path(file.name).write_bytes(data.draw(damaged(zipped(STATE))))
        try:
            assert equal(read_tensors(file.name), STATE)
        except UserError as error:
            assert file.name in str(error)


@settings(fuzz, max_examples=max(1, fuzz.max_examples // 4))
@given(st.data())
def test_forged_checkpoints(data):
    """A zip whose checksums are right and whose pickle is anything: read as plain values, or refused; so by all that
    take such a file.
    """
    if data.draw(st.booleans()):
        with zipfile.ZipFile(io.BytesIO(zipped(STATE))) as source:
            members = {name: source.read(name) for name in source.namelist()}
        chosen = data.draw(st.sampled_from(sorted(members)))
        members[chosen] = data.draw(damaged(members[chosen]))
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as target:
            for name, content in members.items():
                target.writestr(name, content)
        content = buffer.getvalue()
    else:
        value = copy.deepcopy(STATE)
        where = data.draw(st.sampled_from([value, value["model_state_dict"], value["classifiers_state_dict"][0]]))
        keys = st.sampled_from(sorted(where)) | st.integers() | st.none() | st.text(max_size=5)
        where[data.draw(keys)] = data.draw(
            JSON
            | st.just(torch.zeros(2))
            | st.just(torch.zeros(2, dtype=torch.complex64))
            | st.just(torch.zeros(2, 2).to_sparse())
            | st.just({1: torch.zeros(1)})
            | st.just({"aggregation.3.bias": torch.zeros(4), 1: torch.zeros(1)})
        )
        content = zipped(value)
    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        pathlib.Path(file.name).write_bytes(content)
        for reader in (
            read_tensors,
            load_run_state,
            load_network,
            lambda path: load_initial_weights(network_of(), "ResNet18", path),
        ):
            try:
                reader(file.name)
            except UserError as error:
                assert file.name in str(error)


@functools.cache
def network_of():
    with torch.device("meta"):
        return GeoLocalizationNet("ResNet18", 32).backbone


# --- images


def photo(exif):
    buffer = io.BytesIO()
    Image.fromarray(np.arange(48 * 40 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 40, 3)).save(
        buffer, "JPEG", exif=exif
    )
    return buffer.getvalue()


def gps():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825).update({1: "N", 2: (37.0, 46.0, 12.5), 3: "W", 4: (122.0, 25.0, 3.0), 17: 90.0})
    return exif.tobytes()


def test_a_photo_without_a_compass_has_no_heading(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (37.0, 46.0, 12.5), 3: "W", 4: (122.0, 25.0, 3.0), 17: IFDRational(0, 0)})
    (tmp_path / "x.jpg").write_bytes(photo(exif.tobytes()))
    assert read_exif(str(tmp_path / "x.jpg")).heading is None


@fuzz
@given(st.one_of(damaged(gps()).map(lambda exif: photo(exif[:60_000])), damaged(photo(gps()))))
def test_images(content):
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        pathlib.Path(file.name).write_bytes(content)
        for reader in (open_rgb, read_size, read_exif):
            try:
                found = reader(file.name)
                if reader is open_rgb:
                    assert found.mode == "RGB" and found.size in ((40, 48), (48, 40)) or found.size
                elif reader is read_exif:
                    assert np.isfinite((found.latitude, found.longitude, found.heading or 0)).all()
            except (ImageError, Unusable) as error:
                assert str(error)
