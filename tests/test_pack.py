"""Packs: what they hold, reading them, interruption, damage, and the way back."""

import functools
import glob
import json
import os
import pathlib
import pickle
import shutil
import signal
import tarfile

import numpy as np
import pytest

from datasets.images import ImageError, open_rgb, read_size, to_array
from datasets.names import images_list_path, list_images, write_images_list
from datasets.pack import building, reading, writing
from datasets.pack.__main__ import main
from datasets.pack.building import Packing, pack
from datasets.pack.layout import find_layout
from datasets.photos import find_photos
from datasets.test_dataset import ImageFolder
from retrieval.identity import image_stamps, images_digest
from support import array_cache
from support.errors import UserError
from support.workers import Loader
from tests.caches import flip
from tests.failures import before, file_size_limit
from tests.tiny import place_image

SMALL = Packing(shard_size=60_000, num_threads=2)
IN_A_SHARD, SHARDS = 14, 6  # images of the tiny training set, and shards of them all
PARTS = ("train", "val/database", "val/queries", "test/database", "test/queries_v1")


@pytest.fixture
def folder(workdir):
    """A folder of images, in folders and beside them."""
    for number, name in enumerate(("b.jpg", "a/1.jpg", "a/2.PNG", "a.b/3.jpg", "\udcff.jpg", "long" * 60 + ".jpg")):
        os.makedirs(os.path.dirname(f"f/{name}"), exist_ok=True)
        with open(f"f/{name}", "wb") as file:
            place_image(number, 0, 0, 32 + number).save(file, "PNG" if number == 2 else "JPEG")
    return "f"


def command(capsys, *flags, code=0):
    """What `python -m datasets.pack` prints, which ends with that exit code."""
    try:
        main([str(flag) for flag in flags])
        assert code == 0
    except SystemExit as exit_:
        assert exit_.code == code
    printed = capsys.readouterr()
    return printed.err.splitlines()[-1] if code == 2 else printed.out


def contents(folder):
    paths = sorted(glob.glob(f"{glob.escape(folder)}/**", recursive=True, include_hidden=True))
    return {path: pathlib.Path(path).read_bytes() for path in paths if os.path.isfile(path)}


def shards_of(folder):
    return {path: data for path, data in contents(folder).items() if path.endswith(".tar")}


# --- what a pack is


@pytest.mark.parametrize("part", PARTS)
def test_names_images_and_identities_are_those_of_the_folder(tiny, packed, workdir, part):
    ours, theirs = (ImageFolder(f"{root}/{part}") for root in (packed, tiny))
    for name in ("blob", "starts", "ends"):
        np.testing.assert_array_equal(getattr(ours.names, name), getattr(theirs.names, name))
    for row in range(len(theirs)):
        assert (ours[row][1] == theirs[row][1]).all()
        assert read_size(ours.path(row)) == read_size(theirs.path(row))
    assert images_digest(ours) == images_digest(theirs) and list(image_stamps(ours)) == list(image_stamps(theirs))
    assert reading.original_folder(ours.folder) == os.path.realpath(theirs.folder)


def test_any_tar_reads_a_shard(folder):
    assert pack("f", "p", SMALL)
    with tarfile.open("p/000000.tar") as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == list(list_images("f"))
        for member in members:
            assert archive.extractfile(member).read() == pathlib.Path("f", member.name).read_bytes()
            assert member.mtime == int(os.stat(f"f/{member.name}").st_mtime) and member.mode == 0o644
    assert len(contents("p")["p/000000.tar"]) % 10240 == 0


def test_shards_depend_on_the_images_alone_and_have_a_size(tiny, packed, workdir):
    pack(tiny, "p", Packing(SMALL.shard_size, num_threads=7))
    ours, theirs = shards_of("p"), shards_of(packed)
    assert list(ours.values()) == list(theirs.values()) and len(ours) > 2 * len(PARTS)
    assert all(len(data) <= SMALL.shard_size for data in ours.values())
    pack(f"{tiny}/train", "single", Packing(1))  # a shard has an image at least
    assert len(shards_of("single")) == 72


def test_what_cannot_be_read_in_the_folder_cannot_in_the_pack(folder, capsys, caplog):
    os.symlink("nowhere", "f/broken.jpg")
    os.mkfifo("f/fifo.jpg")
    names = [*list_images("f"), "a", "gone.jpg"]  # a folder, and no file
    write_images_list("f", names)
    caplog.set_level("INFO")
    pack("f", "p", SMALL)
    assert "4 of the 10 images of f cannot be read, and stay so in the pack; the first is" in caplog.text
    for name in names:
        reasons = []
        for root in ("f", "p"):
            try:
                reasons.append(to_array(open_rgb(f"{root}/{name}")).tolist())
            except ImageError as error:
                reasons.append(str(error))
        assert reasons[0] == reasons[1]
    assert isinstance(reasons[0], str) and reasons[0].startswith("No such file")
    assert images_digest(ImageFolder("p")) != images_digest(ImageFolder("f"))  # a FIFO has a time, and no size to pack
    assert not pack("f", "p", SMALL)  # which is no change
    assert command(capsys, "p", "--verify").endswith("0 images or tar files are damaged\n")


def test_a_list_keeps_its_order_and_may_stand_beside_a_pack(folder):
    pathlib.Path("f_images_paths.txt").write_bytes(b"b.jpg\r\n\na/1.jpg \n")
    pack("f", "p", SMALL)
    ours, theirs = list_images("p"), list_images("f")
    assert list(ours) == ["b.jpg", "a/1.jpg"] and array_cache.digest(ours.blob) == array_cache.digest(theirs.blob)
    write_images_list("p", ["a/1.jpg"])
    assert list(list_images("p")) == ["a/1.jpg"]
    write_images_list("p", ["b.jpg", "c.jpg"])
    assert list(list_images("p")) == ["b.jpg", "c.jpg"]
    write_images_list("p", ["c.jpg"])
    with pytest.raises(UserError, match="names 'c.jpg', which is not in p"):
        list_images("p")


def test_files_that_are_no_images_are_named(folder, caplog):
    pathlib.Path("f/a/notes.txt").write_text("n")
    pathlib.Path("f/.hidden").write_text("h")
    pack("f", "p", SMALL)
    assert "1 files in f are not of its images, and are not packed: 'a/notes.txt'" in caplog.text


@pytest.mark.parametrize(
    "paths, packs, files",
    [
        (["x/1.jpg", "y/z/2.jpg"], [""], []),
        (
            ["train/37.7/1.jpg", "val/database/1.jpg", "val/queries/1.jpg", "a.csv"],
            ["train", "val/database", "val/queries"],
            ["a.csv"],
        ),
        (["train/database/1.jpg", "train/queries/1.jpg", "val/database/1.jpg"], ["train", "val/database"], []),
        (["raw/train/panoramas/1.jpg", "raw/train/a.txt"], ["raw/train/panoramas"], ["raw/train/a.txt"]),
        (["c/train/1.jpg", "d/test/queries_v2/1.jpg", "n/1.jpg"], ["c/train", "d/test/queries_v2", "n"], []),
        (["night/1.jpg", "night_images_paths.txt", "night_night.json"], ["night"], ["night_night.json"]),
        (["raw_data/summer/1.jpg", "raw_data/winter/1.jpg"], ["raw_data/summer", "raw_data/winter"], []),
        (["lateral/1.jpg.png", "frontal/1.jpg.png", "prepare.json"], ["frontal", "lateral"], ["prepare.json"]),
        (
            ["database/new/1.jpg", "database/old/1.jpg", "database/train/1.jpg", "docs/b.txt"],
            ["database"],
            ["docs/b.txt"],
        ),
        (["1.jpg", "train/2.jpg"], [""], []),
    ],
)
def test_layouts(workdir, paths, packs, files):
    for path in paths:
        os.makedirs(os.path.dirname(f"set/{path}"), exist_ok=True)
        pathlib.Path("set", path).write_text("x")
    os.symlink("..", "set/round")
    found = find_layout("set")
    assert (sorted(found.packs), found.files) == (packs, files)
    assert find_layout("set", whole=True).packs == [""]


# --- reading


def test_an_image_is_read_without_opening_a_file(tiny, packed, workdir, monkeypatch):
    ours, theirs = ImageFolder(f"{packed}/train"), ImageFolder(f"{tiny}/train")
    rows = np.unique(reading.find_pack(ours.folder).places[:, 0], return_index=True)[1]
    assert [ours[row][2] for row in rows] == [""] * SHARDS  # each shard is opened once

    def refuse(*_, **__):
        raise AssertionError

    expected = [theirs[row][1] for row in range(len(theirs))]
    with monkeypatch.context() as patch:
        for owner, name in ((reading, "open_regular"), (os, "open"), (os, "stat"), (os, "getcwd")):
            patch.setattr(owner, name, refuse)
        assert all((ours[row][1] == expected[row]).all() for row in range(len(ours)))
    monkeypatch.setattr(reading, "find_pack", refuse)  # a usual folder costs no look for a pack
    assert theirs[0][2] == ""


def test_few_files_stay_open(packed, workdir, monkeypatch):
    monkeypatch.setattr(reading, "_MOST_OPEN", 2)
    monkeypatch.setattr(reading, "_shards", kept := {})
    images = ImageFolder(f"{packed}/train")
    handles = len(os.listdir("/proc/self/fd"))
    assert all(images[row][2] == "" for row in range(0, 72, 5)) and len(kept) == 2
    assert len(os.listdir("/proc/self/fd")) <= handles + 2


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_read_packs(tiny, packed, workdir, start):
    ours, theirs = ImageFolder(f"{packed}/val/queries"), ImageFolder(f"{tiny}/val/queries")
    assert ours[0][2] == ""  # the shard is open when workers are forked
    with Loader(ours, 1, multiprocessing_context=start) as loader:
        for row, (index, image, _) in enumerate(loader):
            assert index == row and (image == theirs[row][1]).all()


def test_names_travel_as_the_place_of_the_index(packed):
    names = list_images(f"{packed}/train")
    data = pickle.dumps(names)
    assert len(data) < 2000 and list(pickle.loads(data)) == list(names)


def test_paths_mean_the_pack_that_lies_there_now(folder, monkeypatch):
    pack("f", "p", SMALL)
    first = to_array(open_rgb("p/b.jpg"))
    for spelling in (
        "./p/b.jpg",
        "p//b.jpg",
        "p/./a/../b.jpg",
        os.path.abspath("p/b.jpg"),
        b"p/b.jpg",
        pathlib.Path("p/b.jpg"),
    ):
        assert (to_array(open_rgb(spelling)) == first).all()
    os.makedirs("other/f")
    place_image(9, 0, 0, 40).save("other/f/b.jpg")
    monkeypatch.chdir("other")
    with pytest.raises(ImageError, match="No such file"):
        open_rgb("p/b.jpg")
    pack("f", "p", SMALL)
    assert open_rgb("p/b.jpg").size == (40, 40)
    monkeypatch.chdir("..")
    assert (to_array(open_rgb("p/b.jpg")) == first).all()
    shutil.rmtree("p")
    os.rename("other/p", "p")
    assert list(list_images("p")) == ["b.jpg"] and open_rgb("p/b.jpg").size == (40, 40)


def test_photos_are_found_in_the_order_of_the_folder(folder):
    pack("f", "set/p", SMALL)
    for paths, root in ((["f"], "f"), (["f/a/1.jpg", "f/b.jpg"], "f")):
        theirs, _ = find_photos(paths)
        ours, _ = find_photos([path.replace("f", "set/p", 1) for path in paths])
        assert [path.replace("set/p", root, 1) for path in ours] == theirs
    assert find_photos(["set"]) == find_photos(["set/p"])


# --- interruption


def _begin_and_be_killed(place, number):
    """Packs f to p; SIGKILL where it is about to do something for a shard, or for the index."""
    with pytest.MonkeyPatch.context() as patch:
        kill = functools.partial(os.kill, os.getpid(), signal.SIGKILL)
        if place == "the middle of a shard":
            before(patch, writing, "_read", lambda folder, names, row: row == IN_A_SHARD * number + 10, kill)
        elif place == "between a shard and its part":
            part = writing._part_path(building.unfinished(os.path.abspath("p")), number)
            before(patch, array_cache, "save", lambda path, *_: path == part, kill)
        elif place == "the index":
            before(patch, array_cache, "_write_header", lambda path, header: "shards" in header, kill)
        else:
            before(patch, os, "rename", lambda source, _: source.endswith(".unfinished"), kill)
        pack("f", "p", SMALL)


def _killed(place, number=2):
    child = os.fork()
    if not child:
        try:
            _begin_and_be_killed(place, number)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.fixture
def train(tiny, workdir):
    """A copy of the tiny training set, f, and its pack as it is made in one go."""
    shutil.copytree(f"{tiny}/train", "f")
    pack("f", "whole", SMALL)
    return shards_of("whole")


@pytest.mark.parametrize(
    "place, kept",
    [("the middle of a shard", 2), ("between a shard and its part", 2), ("the index", SHARDS), ("the end", SHARDS)],
)
def test_packing_goes_on_after_a_kill(train, caplog, place, kept):
    _killed(place)
    assert not os.path.exists("p")
    begun = {name: os.stat(f".p.unfinished/{name}").st_mtime_ns for name in os.listdir(".p.unfinished")}
    caplog.set_level("INFO")
    assert pack("f", "p", SMALL)
    assert list(shards_of("p").values()) == list(train.values())
    same = [name for name in sorted(shards_of("p")) if begun.get(os.path.basename(name)) == os.stat(name).st_mtime_ns]
    assert same == [f"p/{number:06d}.tar" for number in range(kept)]
    names = sorted(os.listdir("p"))
    assert names == [*(f"{number:06d}.tar" for number in range(SHARDS)), "pack_index", "packing.json"]
    assert sorted(os.listdir("p/pack_index")) == sorted(os.listdir("whole/pack_index"))
    assert not [name for name in os.listdir(".") if name.startswith(".")]
    assert not pack("f", "p", SMALL)


def _flip_a_shard():
    flip(".p.unfinished/000001.tar", 5000)
    return "another checksum"


def _change_an_image():
    with open(f"f/{list_images('f')[20]}", "ab") as file:
        file.write(b"x")
    return "has changed"


def _remove_an_image():
    os.unlink(f"f/{list_images('f')[-1]}")
    return "the list of images"


@pytest.mark.parametrize("change, kept", [(_flip_a_shard, 1), (_change_an_image, 1), (_remove_an_image, 0)])
def test_what_has_changed_since_the_interruption_is_packed_again(train, caplog, change, kept):
    _killed("the middle of a shard", 3)
    first = os.stat(".p.unfinished/000000.tar").st_mtime_ns
    reason = change()
    pack("f", "p", SMALL)
    assert reason in caplog.text and "and what follows are packed again" in caplog.text
    pack("f", "fresh", SMALL)
    assert list(shards_of("p").values()) == list(shards_of("fresh").values())
    assert (os.stat("p/000000.tar").st_mtime_ns == first) == bool(kept)


def test_a_change_while_an_image_is_read_and_after_the_end_is_noticed(train, capsys, monkeypatch):
    name = list_images("f")[3]

    def touch():
        os.utime(f"f/{name}", (1, 1))

    with monkeypatch.context() as patch:
        before(patch, writing, "_write_index", lambda *_: True, touch)
        assert pack("f", "p", SMALL)
    line = command(capsys, "f", "--output", "p", "--shard_mb", 1, code=2)
    assert "made with other settings: shard_size 60000 (now 1000000)" in line
    with pytest.raises(UserError, match=f"f has changed since it was packed to p: '{name}' in f"):
        pack("f", "p", SMALL)
    os.unlink(f"f/{name}")
    with pytest.raises(UserError, match="the list of its images in f"):
        pack("f", "p", SMALL)
    with monkeypatch.context() as patch:
        gone = list_images("f")[0]
        before(
            patch, writing, "_write_shard", lambda *_: True, lambda: pathlib.Path(f"f/{gone}").unlink(missing_ok=True)
        )
        with pytest.raises(UserError, match="added or removed while it was packed: run the same command again"):
            pack("f", "q", SMALL)
    assert pack("f", "q", SMALL)


def test_a_full_disk_is_one_line_and_packing_goes_on(train):
    with file_size_limit(20_000), pytest.raises(UserError, match="000000.tar cannot be written: File too large"):
        pack("f", "p", SMALL)
    assert pack("f", "p", SMALL) and list(shards_of("p").values()) == list(train.values())


def test_an_error_that_may_pass_stops_and_the_image_is_not_lost(train, monkeypatch):
    def broken(path):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(writing, "open_regular", broken)
        with pytest.raises(UserError, match="cannot be read: Input/output error; run the same command again to go on"):
            pack("f", "p", SMALL)
    assert pack("f", "p", SMALL) and list(shards_of("p").values()) == list(train.values())


# --- damage, and the way back


@pytest.fixture
def damaged(packed, workdir):
    """A copy of the packed data set, and the place of an image of it that is to be damaged."""
    shutil.copytree(packed, "d")
    found = reading.find_pack("d/train")
    row = 30
    shard, offset, size, _, _ = found.places[row].tolist()
    return found.names[row], f"d/train/{shard:06d}.tar", offset, size


def test_damage_is_reported_by_name(damaged, capsys):
    name, shard, offset, size = damaged
    assert command(capsys, "d", "--verify") == "d is verified; 0 images or tar files are damaged\n"
    flip(shard, offset + size // 2)
    with pytest.raises(ImageError, match=f"{os.path.basename(shard)} is damaged: the image has another checksum"):
        open_rgb(f"d/train/{name}")
    out = command(capsys, "d", "--verify", code=1)
    assert out.splitlines() == [
        f"damaged: d/train/{name}: it has another checksum",
        "d is verified; 1 images or tar files are damaged",
    ]
    out = command(capsys, "d", "--unpack", "back", code=1)
    assert f"damaged: d/train/{name}: {os.path.basename(shard)} is damaged" in out
    assert not os.path.exists(f"back/train/{name}") and len(list_images("back/train")) == 71
    flip(shard, offset + size // 2)
    flip(shard, offset - 500)  # of what tar knows
    assert open_rgb(f"d/train/{name}").size == (64, 64)
    assert f"damaged: d/train/{name}: its bytes are sound, but" in command(capsys, "d", "--verify", code=1)


def test_a_shard_that_has_grown(damaged, capsys):
    _, shard, _, _ = damaged
    with open(shard, "ab") as file:
        file.write(b"x")
    size = os.path.getsize(shard)
    out = command(capsys, "d", "--verify", code=1)
    assert f"damaged: {shard}: has {size} bytes, and {size - 1} when it was packed" in out


def test_a_shard_that_is_missing_or_cut_off(damaged, capsys):
    name, shard, offset, size = damaged
    os.truncate(shard, offset + size // 2)
    with pytest.raises(UserError, match=f"{shard} has {offset + size // 2} bytes, and .* when it was packed; copy"):
        list_images("d/train")
    with pytest.raises(ImageError, match="it ends before the image does"):
        open_rgb(f"d/train/{name}")
    assert f"damaged: d/train/{name}: the shard ends before it does" in command(capsys, "d", "--verify", code=1)
    os.unlink(shard)
    with pytest.raises(UserError, match=f"{shard} of the pack cannot be read .No such file"):
        list_images("d/train")
    assert f"damaged: d/train/{name}: {shard}: No such file" in command(capsys, "d", "--verify", code=1)


def _set_version(header):
    header["version"] = 2


def _drop_folder(header):
    del header["folder"]


def _grow(header):
    header["shards"] = "many"


@pytest.mark.parametrize(
    "change, problem",
    [
        (_set_version, "the pack d/train is of version 2 of its format, and 1 is needed: read it with"),
        (_drop_folder, "the index of the pack d/train cannot be used ('folder')"),
        (_grow, "the index of the pack d/train cannot be used (its header is damaged)"),
    ],
)
def test_an_index_that_cannot_be_used_is_one_line(damaged, capsys, change, problem):
    path = "d/train/pack_index/header.json"
    header = json.loads(pathlib.Path(path).read_text())
    change(header)
    array_cache._write_header(path, {key: value for key, value in header.items() if key != "header_sha256"})
    assert problem in command(capsys, "d", "--verify", code=2)
    with pytest.raises(UserError) as error:
        list_images("d/train")
    assert problem in str(error.value)


@pytest.mark.parametrize("name", ["name_blob", "places", "hashes", "order"])
def test_damage_of_the_index_is_found_by_its_checksums(damaged, name):
    assert list_images("d/train")
    path = f"d/train/pack_index/{name}.npy"
    flip(path, os.path.getsize(path) - 10)
    with pytest.raises(UserError, match=f"the index of the pack d/train is damaged .{name}.npy has another checksum"):
        list_images("d/train")


def test_unpacking_writes_the_files_back(tiny, workdir, capsys, monkeypatch):
    shutil.copytree(tiny, "set")
    for path, text in (("set/prepare.json", "{}"), ("set/test/notes.txt", "n"), ("set/docs/a.md", "a")):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        pathlib.Path(path).write_text(text)
    write_images_list("set/train", reversed(list(list_images("set/train"))))
    pack("set", "p", SMALL)
    assert not os.path.exists("p/train_images_paths.txt") and os.path.exists("p/docs/a.md")
    with monkeypatch.context() as patch:
        before(patch, building, "_write", lambda path, *_: path.endswith("201302@@.jpg"), lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            building.unpack("p", "back")
    assert "0 images or tar files are damaged" in command(capsys, "p", "--unpack", "back")
    ours, theirs = contents("back"), contents("set")
    assert {path.removeprefix("back"): data for path, data in ours.items()} == {
        path.removeprefix("set"): data for path, data in theirs.items()
    }
    for path in glob.glob("back/**/*.jpg", recursive=True):
        assert os.stat(path).st_mtime_ns == os.stat(f"set{path.removeprefix('back')}").st_mtime_ns
    pack("set/train", "single", SMALL)
    building.unpack("single", "alone")
    assert (
        pathlib.Path(images_list_path("alone")).read_bytes() == pathlib.Path("set/train_images_paths.txt").read_bytes()
    )


# --- bad input


def _nothing():
    pass


def _other_output():
    os.makedirs("p")
    pathlib.Path("p/mine.txt").write_text("m")


def _a_file():
    pathlib.Path("p").write_text("m")


def _packed_folder():
    os.rename("f", "g")
    pack("g", "f", SMALL)


def _unfinished_otherwise():
    os.mkdir(".p.unfinished")
    pathlib.Path(".p.unfinished/.packing.json").write_text('{"folder": "elsewhere"}')


@pytest.mark.parametrize(
    "prepare, flags, problem",
    [
        (_nothing, ["nowhere", "--output", "p"], "folder nowhere does not exist"),
        (_nothing, ["f/b.jpg", "--output", "p"], "f/b.jpg is no folder"),
        (_nothing, ["f", "--output", "f/p"], "one of f and the output f/p lies in the other"),
        (_nothing, ["f/a", "--output", "f"], "one of f/a and the output f lies in the other"),
        (lambda: os.mkdir("e"), ["e", "--output", "p"], "folder e has no images"),
        (lambda: os.mkdir("e"), ["e", "--output", "p", "--whole"], "folder e has no images"),
        (_other_output, ["f", "--output", "p"], "p is not empty, or no folder, and was not made by"),
        (_other_output, ["f", "--unpack", "p"], "f is no pack, and there is none in it"),
        (_a_file, ["f", "--output", "p"], "p is not empty, or no folder"),
        (_packed_folder, ["f", "--output", "p"], "f is a pack already; `python -m datasets.pack f --unpack FOLDER`"),
        (_unfinished_otherwise, ["f", "--output", "p"], "was made with other settings: made_by None"),
        (_nothing, ["f", "--verify"], "f is no pack, and there is none in it"),
        (_nothing, ["f", "--output", "p", "--shard_mb", "0"], "--shard_mb is 0; it must be from 1 to 1000000"),
        (_nothing, ["f", "--verify", "--whole"], "--whole has no use without --output: leave it out"),
        (_nothing, ["f", "--output", "p", "--verify"], "not allowed with argument --output"),
        (_nothing, ["f"], "one of the arguments --output --verify --unpack is required"),
    ],
)
def test_bad_input_is_one_line(folder, capsys, prepare, flags, problem):
    prepare()
    assert problem in command(capsys, *flags, code=2)
    assert "Traceback" not in capsys.readouterr().err


def test_an_untrusted_index_leads_nowhere_else(folder):
    """Places outside of the shards, and names outside of the folder."""
    pack("f", "p", SMALL)
    index = "p/pack_index"
    header, arrays = array_cache.read(index, reading.KIND, reading.LAYOUT)
    arrays = {name: np.array(array) for name, array in arrays.items()}
    arrays["places"][:, 2] = [-99999, 1 << 62, 10, 10, 10, 10]
    arrays["places"][:, 1] = [0, 0, -5, 1 << 60, 0, 0]
    arrays["places"][4, 0] = -3
    arrays["order"][:] = 0
    header = {key: value for key, value in header.items() if key not in ("sha256", "header_sha256")}
    array_cache.save(index, header, arrays)
    for name in list_images("p"):
        with pytest.raises(ImageError):
            open_rgb(f"p/{name}")
    arrays["order"] = np.argsort([int(reading.name_hash(os.fsencode(name))) for name in list_images("p")]).astype(
        np.uint32
    )
    array_cache.save(index, header, arrays)
    for name in list_images("p"):
        with pytest.raises(ImageError):
            open_rgb(f"p/{name}")
    arrays["name_blob"][:7] = np.frombuffer(b"../a.jp", np.uint8)
    array_cache.save(index, header, arrays)
    with pytest.raises(UserError, match="which leads out of the folder"):
        building.unpack("p", "back")
