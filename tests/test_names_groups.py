import json
import os
import pickle

import numpy as np
import pytest

from datasets.groups import build_groups, open_groups
from datasets.image_names import ImageNames
from datasets.names import (
    format_name,
    latlon_to_utm,
    list_images,
    parse_fields,
    positions,
    utm_to_latlon,
    write_images_list,
)
from support.decimals import parse_decimal
from support.errors import UserError
from support.files import current_umask

EXAMPLE = "37.75/@0543256.96@4178906.70@10@S@037.75616@-122.50888@yIn0ZVVo@@030.00@@@@201311@@.jpg"


def test_published_example():
    np.testing.assert_array_equal(
        parse_fields(ImageNames.from_strings([EXAMPLE]), (1, 2, 9)), [[543256.96, 4178906.70, 30.0]]
    )
    assert (
        "37.75/"
        + format_name(543256.96, 4178906.70, 10, "S", 37.75616, -122.50888, "yIn0ZVVo", "", 30, timestamp="201311")
        == EXAMPLE
    )
    east, north, zone, letter = latlon_to_utm(37.75616, -122.50888)
    assert (zone, letter) == (10, "S")
    np.testing.assert_allclose(
        (east, north), (543256.96, 4178906.70), rtol=0, atol=50
    )  # the example's own fields differ by 32 m
    np.testing.assert_allclose(utm_to_latlon(east, north, zone, letter), (37.75616, -122.50888), atol=1e-6)


NO_DECIMALS = (
    "1_0",
    "１２.5",
    "١٢",
    "12.5\v",
    "\x1f12",
    "12\u00a0",
    "1e-400",
    "-1e-310",
    "0x1p3",
    "1d5",
    "12,5",
    "12\x85",
)


def test_numbers_are_read_exactly_as_float_does():
    rng = np.random.default_rng(0)
    texts = [f"{value:.{digits}f}" for value in rng.uniform(-1e6, 1e7, 500) for digits in (0, 2, 9)] + [
        "+5",
        "1e3",
        ".5",
        "007",
        " 3 ",
    ]
    names = ImageNames.from_strings([f"ü/@{text}@0@.jpg" for text in texts])
    np.testing.assert_array_equal(positions(names)[:, 0], [float(text) for text in texts])


@pytest.mark.parametrize("text", ["-12.5", ".5", "3.", "+0", "1e-05", "1E5", "00.10", "-0", "0e-999", "1" * 30])
def test_plain_decimals(text):
    assert parse_decimal(text) == float(text)


def test_what_float_guesses_is_no_decimal():
    for text in (
        *NO_DECIMALS,
        "",
        ".",
        "e5",
        "1e400",
        "inf",
        "nan",
        "Infinity",
        "+-1",
        "1.2.3",
        " 1",
        "1 ",
        "1\n",
        "-",
    ):
        with pytest.raises(ValueError, match="is no decimal number|is out of a number's range"):
            parse_decimal(text)
    blocks = [EXAMPLE] * 3000  # parsed at once: the wrong one among them is found, and named
    for text in ("1_0", "1e-400", "１２", "5\v"):
        blocks[2017] = EXAMPLE.replace("4178906.70", text)
        with pytest.raises(UserError, match="number 2018 of"):
            positions(ImageNames.from_strings(blocks))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a@b.jpg", "has 1 '@', and needs at least 10"),
        (EXAMPLE.replace("0543256.96", "abc"), "has 'abc' in field 1 (UTM_east)"),
        (EXAMPLE.replace("0543256.96", "nan"), "has 'nan' in field 1"),
        (EXAMPLE.replace("030.00", ""), "has no heading (field 9)"),
        (EXAMPLE.replace("4178906.70", "1" * 90), "has no number in field 2"),
        (EXAMPLE.replace("4178906.70", "1e30"), "not a usable number"),
        *((EXAMPLE.replace("4178906.70", text), "not a usable number") for text in NO_DECIMALS),
    ],
)
def test_names_that_do_not_parse_are_named(name, problem):
    with pytest.raises(UserError) as error:
        build_groups([EXAMPLE, name], 10, 30, 5, 2, 1)
    assert problem in str(error.value) and "number 2 of" in str(error.value)


def test_training_without_headings_needs_alpha_360():
    names = [EXAMPLE.replace("030.00", "")] * 3
    assert build_groups(names, 10, 360, 1, 1, 2).class_ids(0).tolist() == [[543250, 4178900, 0]]


def reference_groups(names, M, alpha, N, L, minimum):
    """The published way, simply."""
    classes, groups = {}, {}
    for index, name in enumerate(names):
        east, north, heading = (float(name.split("@")[field]) for field in (1, 2, 9))
        class_id = (int(east // M * M), int(north // M * M), int(heading // alpha * alpha))
        classes.setdefault(class_id, []).append(index)
    for name in names:
        east, north, heading = (float(name.split("@")[field]) for field in (1, 2, 9))
        class_id = (int(east // M * M), int(north // M * M), int(heading // alpha * alpha))
        if len(classes[class_id]) >= minimum:
            group_id = (class_id[0] % (M * N) // M, class_id[1] % (M * N) // M, class_id[2] % (alpha * L) // alpha)
            groups.setdefault(group_id, set()).add(class_id)
    return [sorted(group) for group in groups.values()], classes


@pytest.mark.parametrize(
    ("M", "alpha", "N", "L", "minimum"), [(10, 30, 5, 2, 2), (7, 50, 3, 3, 1), (15, 360, 1, 1, 3), (3, 90, 2, 1, 2)]
)
def test_groups_equal_the_published_way(M, alpha, N, L, minimum):
    rng = np.random.default_rng(M)
    easts, norths, headings = (
        rng.uniform(-40, 60, 800),
        rng.uniform(4e6, 4e6 + 90, 800),
        rng.choice([0, 29.99, 30, 180, 330, 360], 800),
    )
    names = [
        format_name(*position, heading=heading) for *position, heading in zip(easts, norths, headings, strict=True)
    ]
    expected, classes = reference_groups(names, M, alpha, N, L, minimum)
    groups = build_groups(names, M, alpha, N, L, minimum)
    assert [[tuple(c) for c in groups.class_ids(g).tolist()] for g in range(groups.num_groups)] == expected
    for g, group in enumerate(expected):
        assert [groups.image_indices(g, row).tolist() for row in range(len(group))] == [classes[c] for c in group]
        assert groups.num_group_images(g) == sum(len(classes[c]) for c in group)


def test_no_class_left_is_an_error():
    with pytest.raises(UserError, match="no class of the image list has 2 images.*--min_images_per_class"):
        build_groups([EXAMPLE], 10, 30, 5, 2, 2)
    with pytest.raises(UserError, match="--N is 0"):
        build_groups([EXAMPLE], 10, 30, 0, 2, 2)


@pytest.fixture
def folder(workdir):
    """An image folder with a list, whose images need not exist but for the first."""
    names = [f"s/@{551000 + 3 * i}@4181000@@@@@@@0@@@@@@.jpg" for i in range(20)]
    os.makedirs("train/s")
    open(f"train/{names[0]}", "w").close()
    write_images_list("train", names)
    return names


def class_table(groups):
    return [
        (groups.class_ids(g).tolist(), [groups.image_indices(g, r).tolist() for r in range(groups.num_classes(g))])
        for g in range(groups.num_groups)
    ]


def test_cache_is_reopened_memory_mapped_and_equals_what_was_built(folder, caplog):
    caplog.set_level("DEBUG")
    built = open_groups("train/", 10, 30, 2, 1, 2)
    assert "Splitting" in caplog.text
    caplog.clear()
    opened = open_groups("train", 10, 30, 2, 1, 2)
    assert "Splitting" not in caplog.text and isinstance(opened.class_ids(0), np.memmap)
    assert class_table(opened) == class_table(built) == class_table(build_groups(folder, 10, 30, 2, 1, 2))
    assert [opened.image_name(i) for i in range(20)] == folder
    assert not [name for name in os.listdir("cache") if name.startswith(".")]
    cache = os.path.join("cache", os.listdir("cache")[0])
    assert os.stat(cache).st_mode & 0o777 == 0o777 & ~current_umask()
    # a worker that is not forked opens the cache instead of receiving a copy
    pickled = pickle.dumps(opened)
    assert len(pickled) < 2000 and class_table(pickle.loads(pickled)) == class_table(built)
    assert class_table(pickle.loads(pickle.dumps(build_groups(folder, 10, 30, 2, 1, 2)))) == class_table(built)


def test_cache_notices_another_list_parameters_or_data_set(folder):
    first = class_table(open_groups("train", 10, 30, 2, 1, 2))
    assert class_table(open_groups("train", 20, 30, 2, 1, 2)) != first
    assert class_table(open_groups("train", 10, 30, 2, 1, 4)) != first
    os.makedirs("other/train/s")
    for name in folder[:6]:
        open(f"other/train/{name}", "w").close()
    assert sum(open_groups("other/train", 10, 30, 2, 1, 2).num_group_images(g) for g in range(2)) == 6
    write_images_list("train", folder[:8])
    assert open_groups("train", 10, 30, 2, 1, 2).num_images == 8
    write_images_list("train", folder)
    assert class_table(open_groups("train", 10, 30, 2, 1, 2)) == first


def test_damaged_cache_is_rebuilt(folder, caplog):
    first = class_table(open_groups("train", 10, 30, 2, 1, 2))
    cache = os.path.join("cache", os.listdir("cache")[0])
    for damage in (
        lambda path: os.truncate(path, 100),
        lambda path: np.save(path, np.arange(3)),
        os.unlink,
        lambda path: open(path, "wb").write(pickle.dumps(1)),
    ):
        damage(os.path.join(cache, "class_offsets.npy"))
        assert class_table(open_groups("train", 10, 30, 2, 1, 2)) == first
    with open(os.path.join(cache, "header.json"), "w") as file:
        json.dump([], file)
    assert class_table(open_groups("train", 10, 30, 2, 1, 2)) == first


def test_unwritable_cache_is_one_clear_line(folder):
    open("cache", "w").close()
    with pytest.raises(UserError, match="cannot be written to cache: File exists"):
        open_groups("train", 10, 30, 2, 1, 2)


def test_walk_is_sorted_and_takes_all_extensions(workdir):
    for name in (
        "._a.jpg",
        ".Trash/a.jpg",
        "b/2.JPG",
        "a.jpeg",
        "b/1.png",
        "b.jpg",
        "B/0.jpg",
        "notes.txt",
        "x.jpg/inside.jpg",
    ):
        os.makedirs(os.path.dirname(f"f/{name}"), exist_ok=True)
        open(f"f/{name}", "w").close()
    os.symlink("..", "f/b/loop")
    assert list(list_images("f")) == sorted(["b/2.JPG", "a.jpeg", "b/1.png", "b.jpg", "B/0.jpg", "x.jpg/inside.jpg"])


def test_list_replaces_the_walk_in_its_order(workdir):
    os.makedirs("f")
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        open(f"f/{name}", "w").close()
    with open("f_images_paths.txt", "wb") as file:
        file.write(b"c.jpg\r\n\n  a.jpg \n")
    assert list(list_images("f/")) == ["c.jpg", "a.jpg"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("../x.jpg", "leads out of the folder"),
        ("/etc/x.jpg", "leads out of the folder"),
        ("a/../../x.jpg", "leads out of the folder"),
        ("x\0.jpg", "leads out of the folder"),
        ("absent.jpg", "which is not in f"),
        ("", "names no image"),
    ],
)
def test_bad_lists_are_refused(workdir, line, problem):
    os.makedirs("f")
    open("f_images_paths.txt", "w").write(line + "\n")
    with pytest.raises(UserError, match=problem):
        list_images("f")


def test_harmless_dots_are_no_way_out(workdir):
    os.makedirs("f/..a")
    open("f/..a/b..jpg", "w").close()
    open("f_images_paths.txt", "w").write("..a/b..jpg\n")
    assert list(list_images("f")) == ["..a/b..jpg"]


def test_a_list_belongs_to_the_working_folder_too(workdir, monkeypatch):
    os.makedirs("f")
    for name in ("a.jpg", "b.jpg"):
        open(f"f/{name}", "w").close()
    write_images_list("f", ["b.jpg"])
    monkeypatch.chdir("f")
    assert list(list_images(".")) == ["b.jpg"]


def test_missing_and_empty_folders(workdir):
    with pytest.raises(UserError, match="folder nowhere does not exist"):
        list_images("nowhere")
    os.makedirs("empty")
    with pytest.raises(UserError, match="folder empty has no images"):
        list_images("empty")
