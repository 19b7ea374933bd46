"""Untrusted files: none runs code, none is believed beyond its size, none leads out of its folder or steers a
terminal.
"""

import ast
import contextlib
import glob
import io
import json
import logging
import os
import pathlib
import pickle
import re
import shutil
import tarfile
import unicodedata

import faiss
import numpy as np
import pytest
import torch

import eval as eval_script
import soup
import train
from commons import _open_logs
from datasets.groups import open_groups
from datasets.image_names import ImageNames
from datasets.names import list_images
from datasets.test_dataset import ImageFolder
from localization.database_index import _opened
from model.checkpoints import load_network
from model.network import GeoLocalizationNet
from model.zoo import published
from parser import parse_arguments
from retrieval import store
from retrieval.cache import DescriptorCache
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.index import search_index
from support import array_cache, files
from support.array_cache import npy_header
from support.errors import UserError
from support.escaping import csv_path, csv_text, escape, from_csv_text, printable
from support.files import read_object
from support.recipes import expand_recipes
from test import test
from tests.caches import NAMES, SETTINGS, cache_file, change_array, touch
from tests.descriptors import BATCH, DIM, IMAGES, SmallNetwork, change_header, extract, fill, kept, unit_vectors
from tests.failures import ends_within
from tests.file_server import running_server
from tests.scripts import ROOT, SOURCES, fails
from tests.tiny import FLAGS
from visualizations import save_predictions

# --- nothing that is read can run code

_UNPICKLING = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "joblib", "cloudpickle", "dill", "yaml"}
_CALLS = (
    r"(os\.(system|popen|exec\w*|spawn\w*)|torch\.(hub|jit|package)\.load\w*|"
    r"\S*\.(get_state_dict|read_pickle|load_state_dict_from_url))\("
)


def dangers(source, allowed=()):
    """What in a Python source could run what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = (
                {alias.name.split(".")[0] for alias in node.names}
                if isinstance(node, ast.Import)
                else {node.module or ""}
            )
            names = {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
            if (modules & _UNPICKLING) - set(allowed) or (
                modules & {"torch", "numpy", "os"} and names & {"load", "system", "popen"}
            ):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Call):
            call = ast.unparse(node)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec", "compile", "__import__"):
                found.append(call)
            elif re.match(r"torch\.load\(", call) and keywords.get("weights_only") != "True":
                found.append(call)
            elif re.match(r"(np|numpy)\.(load|fromregex)\(", call) and keywords.get("allow_pickle") != "False":
                found.append(call)
            elif (
                re.match(_CALLS, call)
                or call.startswith("pickle.")
                or keywords.get("shell", "False") != "False"
                or keywords.get("allow_pickle", "False") != "False"
                or keywords.get("weights_only", "True") != "True"
            ):
                found.append(call)
    return found


def test_no_source_can_run_what_it_reads():
    loads = 0
    for path in SOURCES:
        source = path.read_text()
        loads += len(re.findall(r"\btorch\.load\(|\bnp\.load\(", source))
        place = path.relative_to(ROOT).as_posix()
        # pickle is there for the name of its error alone
        found = dangers(source, allowed=("pickle",) if place == "support/files.py" else ())
        if place == "model/hub/loading.py":  # which runs after --trust_code alone
            assert all(call.startswith("torch.hub.load(") for call in found) and len(found) == 2
            continue
        assert found == [], path
    assert loads >= 2 and len(SOURCES) > 80


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "np.load(p)",
        "numpy.load(p, allow_pickle=True)",
        "import pickle",
        "import joblib",
        "from pickle import loads",
        "import yaml",
        "eval(x)",
        "exec(x)",
        "__import__(x)",
        "os.system(x)",
        "os.popen(x)",
        "os.execv(x, y)",
        "subprocess.run(x, shell=True)",
        "torch.hub.load(x, y)",
        "torch.jit.load(p)",
        "weights.get_state_dict()",
        "from torch import load",
        "from os import system",
        "np.save(p, x, allow_pickle=True)",
    ],
)
def test_what_could_run_code_is_found(source):
    assert dangers(source) and not dangers("re.compile(x); network.eval(); torch.load(p, weights_only=True)")


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("it_ran",)


def write_malicious(path, kind):
    """A pickle that makes a folder when it is opened carelessly: in torch's zip, bare, in torch's old format or in its
    oldest, a tar.
    """
    if kind in ("zip", "old"):
        torch.save({"model_state_dict": {"x": Malicious()}}, path, _use_new_zipfile_serialization=kind == "zip")
    elif kind == "bare":
        pathlib.Path(path).write_bytes(pickle.dumps(Malicious()))
    else:
        with tarfile.open(path, "w") as tar:
            for name in ("sys_info", "storages", "tensors", "pickle"):
                data = pickle.dumps(Malicious())
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("kind", ["zip", "bare", "old", "tar"])
def test_malicious_weights_do_not_run(tiny, workdir, capsys, monkeypatch, kind):
    write_malicious("bad.pth", kind)
    problem = "bad.pth is cut off or damaged" if kind == "tar" else "bad.pth holds objects other than tensors"
    for script, *flags in (
        (train, "--resume_model", "bad.pth"),
        (train, "--resume_train", "bad.pth"),
        (eval_script, "--resume_model", "bad.pth"),
        *((script, "--backbone_weights", "bad.pth") for script in (train, eval_script)),
        (soup, "--ingredients", "bad.pth", "other.pth", "--output", "soup.pth"),
    ):
        assert problem in fails(script, capsys, "--dataset_folder", tiny, *(() if script is soup else FLAGS), *flags)
        shutil.rmtree("logs")
    # as a published model, served and put there by hand
    with running_server(monkeypatch) as server:
        monkeypatch.setattr(published, "COSPLACE", server.address + "/{}_cosplace.pth")
        with open("bad.pth", "rb") as file:
            server.files["/ResNet18_512_cosplace.pth"] = file.read()
        with pytest.raises(UserError, match="the download (holds objects|is cut off)"):
            load_network("ResNet18_512")
    assert not glob.glob("torch_home/hub/checkpoints/*.pth")
    os.rename("bad.pth", "torch_home/hub/checkpoints/ResNet18_512_cosplace.pth")
    with pytest.raises(UserError, match="(holds objects|is cut off)"):
        load_network("ResNet18_512")
    assert not os.path.exists("it_ran")


def test_the_allowance_is_numpys_scalar_dtype_and_float64_and_ends_with_the_reading(workdir):
    names = [(entry[1] if isinstance(entry, tuple) else entry) for entry in files._published_numpy_float()]
    assert names == [
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.dtype",
        "numpy.dtypes.Float64DType",
    ]
    scalar = np._core.multiarray.scalar
    assert [entry[0] for entry in files._published_numpy_float()] == [scalar, scalar, np.dtype, np.dtypes.Float64DType]
    torch.save({"x": np.float64(2.5)}, "float.pth")
    write_malicious("bad.pth", "zip")
    before = torch.serialization.get_safe_globals()
    assert files.read_tensors("float.pth")["x"] == 2.5
    with pytest.raises(UserError):
        files.read_tensors("bad.pth")
    assert set(torch.serialization.get_safe_globals()) == set(before) and not {
        np.dtype,
        scalar,
        np.dtypes.Float64DType,
    } & set(before)
    with pytest.raises(pickle.UnpicklingError):
        torch.load("float.pth", weights_only=True)


# --- caches of arrays


def write_npy(path, dtype="<i8", shape=(3,), fortran=False, data=b"\0" * 24):
    header = npy_header("<i8", shape).replace(b"'<i8'", repr(dtype).encode()[:5].ljust(5))
    pathlib.Path(path).write_bytes((header.replace(b"False", b"True ") if fortran else header) + data)


def objects(path):
    with open(path, "wb") as file:
        np.save(file, np.array([Malicious()], object), allow_pickle=True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: write_npy(path, shape=(10**15,)),
        lambda path: write_npy(path, shape=(-1,)),
        lambda path: write_npy(path, shape=(2**70,)),
        lambda path: write_npy(path, shape=(10**9, 10**9)),
        lambda path: write_npy(path, "|O"),
        objects,
        lambda path: write_npy(path, ">i8"),
        lambda path: write_npy(path, "<f8"),
        lambda path: write_npy(path, fortran=True),
        lambda path: write_npy(path, shape=()),
        lambda path: np.save(path, np.zeros((3, 1), np.int64)),
        lambda path: np.save(path, np.zeros(0, np.int64)),
        lambda path: pathlib.Path(path).write_bytes(b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535),
        lambda path: pathlib.Path(path).write_bytes(b""),
        lambda path: os.truncate(path, 10**12),
    ],
)  # sparse
@pytest.mark.parametrize("name", ["class_offsets", "name_blob", "class_ids"])
def test_arrays_are_what_their_size_says(listed, caplog, damage, name):
    damage(cache_file(f"{name}.npy"))
    assert list(open_groups("train", *SETTINGS).names) == NAMES and "is damaged" in caplog.text
    caplog.clear()
    open_groups("train", *SETTINGS)
    assert not caplog.text and not os.path.exists("it_ran")


def set_item(index, value):
    def change(array):
        array[index] = value

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("group_offsets", set_item(1, 99)),
        ("group_offsets", set_item(0, -1)),
        ("class_offsets", set_item(1, -5)),
        ("class_offsets", set_item(1, 10**12)),
        ("class_offsets", set_item(-1, 0)),
        ("image_index", set_item(0, 20)),
        ("image_index", set_item(3, -1)),
        ("name_starts", set_item(2, 2**32 - 1)),
        ("name_ends", set_item(2, 0)),
        ("name_ends", set_item(-1, 2**31)),
        ("name_starts", set_item(slice(None), 0)),
    ],
)
def test_offsets_that_lead_nowhere_are_not_followed(listed, caplog, name, change):
    """The checksums are right."""
    change_array(cache_file(f"{name}.npy"), change, forge=True)
    assert list(open_groups("train", *SETTINGS).names) == NAMES and "is damaged" in caplog.text


@pytest.mark.parametrize("name", ["name_starts", "directory_ends", "directory_mtimes", "name_blob"])
def test_walks_that_lead_nowhere_are_rebuilt(workdir, caplog, name):
    touch("f/a.jpg", "f/s/b.jpg")
    list_images("f")
    (path,) = glob.glob(f"cache/*/{name}.npy")
    change_array(path, lambda array: np.full(5, 77, array.dtype), forge=True)
    assert list(list_images("f")) == ["a.jpg", "s/b.jpg"] and "is damaged" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[]",
        "1",
        "",
        "null",
        '{"version": 1e999}',
        '{"version": NaN}',
        '{"version": ' + "9" * 5000 + "}",
        '{"version": [2]}',
        '{"version": 2, "version": 2}',
        '{"version": 2}',
        "\xff",
        '{"a":' * 90_000,
        " " * (1 << 21),
        '{"version": "\\u001b[2J"}',
    ],
)
def test_headers_have_one_reading_or_none(listed, caplog, text):
    pathlib.Path(cache_file("header.json")).write_text(text, encoding="latin-1")
    caplog.set_level(logging.INFO)
    assert open_groups("train", *SETTINGS).num_images == 20 and "rebuilding it" in caplog.text


def test_a_walk_whose_header_lacks_its_digest_is_rebuilt(workdir):
    touch("f/a.jpg")
    list_images("f")
    (path,) = glob.glob("cache/*/header.json")
    header = read_object(path)
    del header["digest"]
    array_cache.update_header(os.path.dirname(path), header)
    assert list(list_images("f")) == ["a.jpg"] and len(read_object(path)["digest"]) == 64


# --- descriptor stores and indexes


@pytest.mark.parametrize(
    "values",
    [
        {"unreadable": {"99999": "x"}},
        {"unreadable": {"-1": "x"}},
        {"unreadable": {"x": "x"}},
        {"unreadable": {"1": 2}},
        {"unreadable": None},
        {"unreadable": {"9" * 5000: "x"}},
        {"dim": 10**15},
        {"dim": True},
        {"block_size": "4"},
        {"dtype": ["float32"]},
        {"complete": 1},
        {"names": None},
        {"num_images": 2**63},
        {"version": {}},
        {"crc32": []},
        {"crc32": "x"},
        {"crc32": {"0": 1}},
    ],
)
def test_a_store_of_another_program_is_rebuilt(images, cache, caplog, values):
    """Its digest is right."""
    whole = extract(cache, images)[0]
    change_header(os.path.join("kept", *kept(cache)), **values)
    np.testing.assert_array_equal(extract(cache, images)[0], whole)
    assert "computing them again" in caplog.text


@pytest.mark.parametrize(
    "entry",
    [
        "[]",
        '{"block": 0}',
        '{"block": "0", "crc32": 1}',
        '{"block": 0, "crc32": CRC, "unreadable": {"99": "x"}}',
        "[" * 100_000,
        '{"block": 0, "crc32": CRC, "unreadable": []}',
        '{"block": 1.5, "crc32": 1}',
    ],
)
def test_a_block_of_another_program_is_rebuilt(images, cache, caplog, entry):
    """Its checksum is right."""
    with pytest.raises(KeyboardInterrupt):
        extract(cache, images, SmallNetwork(fail_after=20))
    path = pathlib.Path("kept", *kept(cache), "blocks_0.jsonl")
    line = entry.replace("CRC", str(json.loads(path.read_bytes().split(b" ", 1)[1])["crc32"])).encode()
    path.write_bytes(b"%08x %b\n" % (store.zlib.crc32(line), line))
    np.testing.assert_array_equal(
        extract(cache, images)[0], extract_descriptors(SmallNetwork(), images, ExtractionOptions(BATCH))[0]
    )
    assert "computing them again" in caplog.text


def replaced_by(make):
    """Puts a FIFO, or what `make` makes, in the place of a file."""

    def replace(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        make(path)

    return replace


fifo, device = replaced_by(os.mkfifo), replaced_by(lambda path: os.symlink("/dev/zero", path))


@pytest.mark.parametrize("make", [fifo, device])
def test_no_store_waits_for_a_fifo_or_reads_a_device(images, cache, caplog, make):
    whole = extract(cache, images)[0]
    folder = os.path.join("kept", *kept(cache))
    with ends_within(60):
        for name, again in (("descriptors.npy", True), ("names.txt", False), ("header.json", True)):
            make(f"{folder}/{name}")
            if name != "header.json":
                with pytest.raises(UserError, match="is damaged .*no regular file"), _opened(folder):
                    pass
            values, _, seen = extract(cache, images)
            np.testing.assert_array_equal(values, whole)
            assert (seen > 0) == again and os.path.isfile(f"{folder}/{name}")
            assert "no regular file" in caplog.text
            caplog.clear()
        make(f"{folder}/stamps")
        os.utime("f/03.png", ns=(1, 1))
        assert extract(DescriptorCache("kept", grows=True), ImageFolder("f"))[2] == IMAGES - 1


@pytest.mark.parametrize("make", [fifo, device])
def test_no_unfinished_store_waits_for_a_fifo_or_reads_a_device(images, cache, caplog, make):
    for name in ("blocks_0.jsonl", "blocks_1.jsonl", "descriptors.npy"):
        with pytest.raises(KeyboardInterrupt):
            extract(cache, images, SmallNetwork(fail_after=20))
        (folder,) = kept(cache)
        make(f"kept/{folder}/{name}")
        with ends_within(60):
            assert extract(cache, images)[2] == IMAGES - 1
        assert "no regular file" in caplog.text
        caplog.clear()
        shutil.rmtree(f"kept/{folder}")


def test_a_line_of_blocks_has_an_end(images, cache, monkeypatch):
    """A line is read to a bound, not to wherever it ends: a longer one is none of ours."""
    with pytest.raises(KeyboardInterrupt):
        extract(cache, images, SmallNetwork(fail_after=36))
    path = pathlib.Path("kept", *kept(cache), "blocks_0.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    text = lines[1].split(b" ", 1)[1].rstrip() + b" " * 2000
    path.write_bytes(lines[0] + b"%08x %b\n" % (store.zlib.crc32(text), text))
    monkeypatch.setattr(store, "_LONGEST_LINE", 1000)
    assert store.FolderStore(str(path.parent)).done == {0} and path.read_bytes() == lines[0]


@pytest.mark.parametrize("make", [fifo, device])
def test_no_cache_of_arrays_waits_for_a_fifo_or_reads_a_device(listed, caplog, make):
    for name in ("name_blob.npy", "header.json"):
        make(cache_file(name))
        with ends_within(60):
            assert list(open_groups("train", *SETTINGS).names) == NAMES
        assert "no regular file" in caplog.text and os.path.isfile(cache_file(name))
        caplog.clear()
    touch("f/a.jpg")
    list_images("f")
    (path,) = glob.glob("cache/f_*/name_blob.npy")
    make(path)
    with ends_within(60):
        assert list(list_images("f")) == ["a.jpg"]
    assert "no regular file" in caplog.text


@pytest.fixture
def indexed(workdir):
    """A store of 600 descriptors, two of which are unreadable; the path of its index; and what that finds."""
    header = {"dtype": "float32", "num_images": 600, "dim": DIM, "block_size": 256, "identity": {}}
    opened = fill(store.create_store("s", [f"{i}.jpg" for i in range(600)], header))
    _, expected = search_index(opened, unit_vectors(600)[:3], 5, "SQ8")
    (path,) = glob.glob("s/*.faiss")
    return opened, path, expected


def forge_index(path, data):
    """Writes an index, and the digest that goes with it."""
    pathlib.Path(path).write_bytes(data)
    header = read_object(path.replace(".faiss", ".json"))
    header["sha256"] = store.hashlib.sha256(data).hexdigest()
    pathlib.Path(path.replace(".faiss", ".json")).write_text(json.dumps(header))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace((600 * 32 * 4 // 1).to_bytes(8, "little"), (2**39).to_bytes(8, "little")),
        lambda data: data[:200],
        lambda data: data[:4] + b"\xff" * 40 + data[44:],
        lambda data: b"",
    ],
)
def test_an_index_of_another_program_is_rebuilt(indexed, change):
    """Its digest is right."""
    opened, path, expected = indexed
    limits = faiss.get_deserialization_vector_byte_limit()
    forge_index(path, change(pathlib.Path(path).read_bytes()))
    np.testing.assert_array_equal(search_index(opened, unit_vectors(600)[:3], 5, "SQ8")[1], expected)
    assert faiss.get_deserialization_vector_byte_limit() == limits


@pytest.mark.parametrize("make", [fifo, device])
def test_no_faiss_index_is_waited_for(indexed, make):
    opened, path, expected = indexed
    make(path)
    with ends_within(60):
        np.testing.assert_array_equal(search_index(opened, unit_vectors(600)[:3], 5, "SQ8")[1], expected)


@pytest.mark.parametrize("first", [10**12, -700])
def test_an_index_that_names_other_descriptors_is_refused(indexed, first):
    """Its digest is right, and so are its sizes."""
    opened, path, _ = indexed
    index = faiss.index_factory(DIM, "IDMap,SQ8")
    index.train(unit_vectors(598))
    index.add_with_ids(unit_vectors(598), np.arange(first, first + 598))
    forge_index(path, faiss.serialize_index(index).tobytes())
    with pytest.raises(UserError, match="the faiss index in s names descriptors that are not there"):
        search_index(opened, unit_vectors(600)[:3], 5, "SQ8")


# --- names


@pytest.mark.parametrize(
    "line",
    [
        "/etc/x.jpg",
        "//x.jpg",
        "../x.jpg",
        "a/../../x.jpg",
        "./../x.jpg",
        "a/..",
        "..",
        " ../x.jpg",
        "\t/x.jpg",
        "a//..//x.jpg",
        "..\r",
        "x\0.jpg",
    ],
)
def test_names_that_lead_out_are_refused(workdir, line):
    touch("f/a.jpg")
    pathlib.Path("f_images_paths.txt").write_text(f"a.jpg\n{line}\n", newline="")
    with pytest.raises(UserError, match="image 2.*leads out of the folder"):
        list_images("f")


def test_names_of_a_cache_lead_nowhere_else(workdir):
    for name in ("../x.jpg", "/x.jpg", "a/../../x.jpg"):
        with pytest.raises(UserError, match="leads out of the folder"):
            _ = ImageNames.from_strings([name])[0]
    harmless = ["a .. b.jpg", "..a/b..jpg", "~/x.jpg", "..\\x.jpg", "．．/x.jpg"]
    assert list(ImageNames.from_strings(harmless)) == harmless
    touch("f/a .. b.jpg")
    pathlib.Path("f_images_paths.txt").write_text("a .. b.jpg\n")
    assert list(list_images("f")) == ["a .. b.jpg"]


def test_a_list_without_lines_is_refused(workdir, monkeypatch):
    monkeypatch.setattr("datasets.image_names._BLOCK", 1 << 10)
    monkeypatch.setattr("datasets.image_names._LONGEST", 1 << 12)
    touch("f/a.jpg")
    pathlib.Path("f_images_paths.txt").write_text("a.jpg\n" + "x" * 9000)
    with pytest.raises(UserError, match="has a line of more than 4096 bytes"):
        list_images("f")


STEERING = "\x1b[2J\x1b]0;title\x07\r\b\x9b1m\u202e\u2028.jpg"


def test_logs_show_control_characters_and_no_forged_lines(workdir, capsys):
    os.mkdir("log")
    handlers = _open_logs("log")
    record = logging.LogRecord(
        "x", logging.INFO, "", 0, f"image {STEERING}\n2026-01-01 00:00:00   Experiment finished", None, None
    )
    for handler in handlers:
        handler.handle(record)
        handler.close()
    for text in (pathlib.Path("log/info.log").read_bytes().decode(), capsys.readouterr().err):
        lines = text.splitlines()
        assert len(lines) == 2 and lines[1] == "    2026-01-01 00:00:00   Experiment finished"
        assert r"image \x1b[2J\x1b]0;title\x07\r\x08\x9b1m\u202e\u2028.jpg" in lines[0]
    assert escape("tab\tand\nline, é, 東京 \U0001f600") == "tab\tand\nline, é, 東京 \U0001f600"


def test_what_cannot_be_seen_is_escaped():
    hidden = {chr(code) for code in range(0x30000) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    named = "\x1b\x9b\u200b\u200d\u200e\u202a\u202e\u2066\u2069\u2028\u2029\ufeff\u061c\udcff\x00\n\t"
    assert hidden.issuperset(named) and len(hidden) > 2150
    for character in hidden:
        assert printable(f"a{character}b") == f"a{character.encode('unicode_escape').decode()}b"
    assert printable("é 東京 \U0001f600 a\u0301") == "é 東京 \U0001f600 a\u0301"


def test_no_text_of_a_csv_is_a_formula():
    for text in ("=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1", "''@x", "-", "-1e400"):
        assert csv_text(text) == "'" + text and from_csv_text(csv_text(text)) == text
        path = csv_path(text)
        assert path == (text if text[0] == "'" else f"./{text}") and os.path.normpath(path) == os.path.normpath(text)
    for text in ("", "a=1", "-12.5", "+5", "'a", "a/@b", "./=1", "1-1"):
        assert csv_text(text) == text == from_csv_text(text)


def test_errors_show_control_characters(workdir, capsys):
    touch("f/a.jpg")
    pathlib.Path("f_images_paths.txt").write_bytes(STEERING.replace("\r", "").encode())
    with pytest.raises(UserError) as error:
        list_images("f")
    assert "\x1b" not in str(error.value) and "x1b[2J" in str(error.value)
    pathlib.Path("r.txt").write_text("--M 3 \x1b[2J")
    with pytest.raises(SystemExit):
        parse_arguments(argv=["@r.txt"])
    assert r"unrecognized arguments: \x1b[2J" in capsys.readouterr().err


def test_pages_of_predictions_show_control_characters(tiny, workdir):
    from datasets.test_dataset import TestDataset

    shutil.copytree(f"{tiny}/test", "test")
    name = os.path.basename(glob.glob("test/queries_v1/sub/*")[0])
    os.rename(f"test/queries_v1/sub/{name}", "test/queries_v1/sub/" + name.replace(".jpg", "\x1b[2J\n.jpg"))
    dataset = TestDataset("test/database", "test/queries_v1")
    network = GeoLocalizationNet("Small", 16).eval()
    assert save_predictions(dataset, test(dataset, network).predictions, "preds", 1) == 12
    written = [pathlib.Path(path).read_text() for path in glob.glob("preds/*.txt")]
    assert all("\x1b" not in text and text.splitlines()[3] == "Predictions paths:" for text in written) and any(
        r"\x1b[2J\n.jpg" in text for text in written
    )


# --- recipes


def test_recipes_have_an_end(workdir):
    for i in range(30):
        pathlib.Path(f"{i}.txt").write_text(f"@{i + 1}.txt\n@{i + 1}.txt\n")
    pathlib.Path("30.txt").write_text("--M 3\n")
    with pytest.raises(UserError, match="0.txt leads to more than 100 recipes"):
        expand_recipes(["@0.txt"])
    pathlib.Path("large.txt").write_text("#" * 100_000)
    for path in ("large.txt", "/dev/zero"):
        with pytest.raises(UserError, match="is not a text file of at most 65536 characters"):
            expand_recipes([f"@{path}"])
