"""Maps of classes."""

import os

import numpy as np
import pytest
from PIL import Image, ImageDraw

from datasets import class_maps
from datasets.class_maps import draw_class, save_class_maps
from datasets.eigenplaces import EigenPlaces
from datasets.groups import CosPlace
from datasets.names import format_name
from datasets.nearest_crops import NearestCrops
from support.errors import UserError
from tests.tiny import EAST, NORTH

INK, LATERAL, FRONTAL = (30, 34, 40), (40, 95, 190), (205, 85, 20)
TOP, BOTTOM = 64, 64 + 760  # rows of the map


def names_of(places):
    return [format_name(EAST + east, NORTH + north, 10, "S", heading=10) for east, north in places]


def street(cells=1):
    """Along each of some cells, 4 places in the direction (2, 1)."""
    return names_of([(15 * cell + 11 + 2 * i, 11 + i) for cell in range(cells) for i in (0, 1, 4, 5)])


def draw(method, names):
    """The first class."""
    return draw_class(method.build(names), method, 0, 0)


def pixels_of(image, colour, rows=slice(TOP, BOTTOM)):
    """The places of a colour on the map, (x, y) each."""
    y, x = np.nonzero((np.asarray(image)[rows] == colour).all(axis=2))
    return np.stack([x, y + rows.start], axis=1)


def dot(image, colour):
    """The middle of a focal point, whose name stands above it."""
    found = pixels_of(image, colour)
    found = found[found[:, 1] > found[:, 1].max() - 17]
    return (found.min(axis=0) + found.max(axis=0)) / 2


def test_cameras_and_points_lie_as_on_the_ground():
    """North is up, east is right, and the bar is as long as it says."""
    image = draw(EigenPlaces(15, 3, 10, 2), street())
    cameras = pixels_of(image, INK).mean(axis=0)
    bar = pixels_of(image, INK, slice(BOTTOM + 22, BOTTOM + 23))[:, 0]
    metre = (np.argmax(np.diff(bar) > 1) + 1) / 5  # "5 m" stands after a gap
    for colour, expected in ((LATERAL, (-1, 2)), (FRONTAL, (-2, -1))):
        east, north = (dot(image, colour) - cameras) * (1, -1)
        assert np.hypot(east, north) / metre == pytest.approx(10, abs=0.2)
        assert np.degrees(np.arctan2(*expected) - np.arctan2(east, north)) == pytest.approx(0, abs=1)


def test_each_crop_is_drawn_towards_its_point():
    """Beside a camera the ground has the point's colour on the side of the point, and not on the other."""
    image = draw(EigenPlaces(15, 3, 10, 1), names_of([(20, 20)]))
    x, y = pixels_of(image, INK).mean(axis=0).round().astype(int)
    ground = np.asarray(image.convert("RGB")).astype(int)
    north, west, south, east = (ground[y + b, x + a] for a, b in ((6, -30), (-50, 6), (6, 30), (50, 6)))
    assert north[2] - north[0] > 30 > south[2] - south[0]  # blue
    assert west[0] - west[2] > 60 > east[0] - east[2]  # orange


def looking(*headings):
    """Images at one place: the lateral point is north of it, the frontal one west."""
    return [format_name(EAST + 20, NORTH + 20, 10, "S", pano_id=str(h), heading=h) for h in headings]


def hue(image, radius, degrees):
    """How much more blue than red there is, so many pixels from the only camera, at so many degrees."""
    x, y = pixels_of(image, INK).mean(axis=0)
    radians = np.radians(degrees)
    ground = np.asarray(image).astype(int)[round(y - radius * np.cos(radians)), round(x + radius * np.sin(radians))]
    return ground[2] - ground[0]


@pytest.mark.parametrize(("crop_degrees", "span"), [(0, 55.4), (30, 30), (90, 90)])
def test_crops_that_are_not_cut_are_drawn_as_they_look(crop_degrees, span):
    """The image that faces the lateral point looks 20 degrees right of it."""
    image = draw(NearestCrops(15, 3, 10, 1, 40, crop_degrees), looking(20 - crop_degrees / 2, 275 - crop_degrees / 2))
    for side in (-1, 1):
        assert hue(image, 30, 20 + side * (span / 2 - 5)) > 30 > hue(image, 30, 20 + side * (span / 2 + 5))
    assert hue(image, 56, 275) < -60


def test_an_image_that_faces_both_points_is_drawn_in_both_colours():
    image = draw(NearestCrops(15, 3, 10, 1, 50, 0), looking(315))
    assert hue(image, 30, 320) > 30 and hue(image, 56, 320) < -60


@pytest.mark.parametrize(
    ("method", "names", "title"),
    [
        (EigenPlaces(15, 3, 10, 2), street(), "Group 0, class 0: 4 images, 4 lateral, 4 frontal"),
        (
            NearestCrops(15, 3, 10, 1, 40, 0),
            looking(0, 5, 180, 270),
            "Group 0, class 0: 4 images, 2 lateral, 1 frontal",
        ),
        (CosPlace(15, 30, 3, 2, 2), street(), "Group 0, class 0: 4 images, headings from 0 degrees"),
    ],
)
def test_the_title_counts_images_and_says_how_many_of_them_are_drawn(monkeypatch, method, names, title):
    titles = []
    monkeypatch.setattr(class_maps._Canvas, "captions", lambda _, *texts: titles.append(texts[:2]))
    whole = pixels_of(draw(method, names), INK)
    monkeypatch.setattr(class_maps, "_MOST", 2)
    fewer = pixels_of(draw(method, names), INK)
    (first, below), (second, below_it) = titles
    of_each = "" if isinstance(method, CosPlace) else " of each"
    assert first == second == title and below_it == f"{below}, up to 2{of_each} drawn"
    if names == street():  # at four places
        assert len(fewer) == pytest.approx(len(whole) / 2, rel=0.1)


@pytest.mark.parametrize(("count", "drawn"), [(0, 0), (1, 1), (3, 3), (99, 6)])
def test_as_many_classes_as_were_asked_for_are_drawn(workdir, monkeypatch, count, drawn):
    bars = []
    monkeypatch.setattr(class_maps, "tqdm", lambda numbers, **_: bars.append(len(numbers)) or numbers)
    method = EigenPlaces(15, 4, 10, 2)
    groups = method.build(street(8))
    assert [groups.num_classes(group) for group in range(groups.num_groups)] == [2] * 4
    save_class_maps(groups, method, 3, count, "run/classes")
    found = sorted(os.listdir("run/classes")) if drawn else []
    assert len(found) == drawn and bars == [drawn] and os.path.exists("run") == bool(drawn)
    known = [f"group{g}_{east}_{north}.png" for g in range(3) for east, north in groups.class_ids(g).tolist()]
    assert set(found) <= set(known)
    if drawn == 3:  # the first, the last, and one between them
        assert {known[0], known[-1]} < set(found)
    if drawn == 1:
        assert Image.open(f"run/classes/{found[0]}").size == (784, 868)


def test_cosplaces_classes_have_cameras_and_headings(workdir):
    method = CosPlace(15, 30, 3, 2, 2)
    save_class_maps(method.build(street()), method, 1, 5, "classes")
    assert os.listdir("classes") == ["group0_551010_4181010_0.png"]
    image = draw(method, street())
    assert len(pixels_of(image, INK)) > 100
    assert not len(pixels_of(image, LATERAL)) and not len(pixels_of(image, FRONTAL))


@pytest.mark.parametrize(("side", "places"), [(2000, [(5, 5), (900, 700)]), (1, [(5.1, 5.2), (5.3, 5.9)])])
def test_cells_of_any_size_and_cameras_at_one_place(monkeypatch, side, places):
    """However large a cell is, there are few lines to draw."""
    lines, line = [], ImageDraw.ImageDraw.line
    monkeypatch.setattr(ImageDraw.ImageDraw, "line", lambda *args, **how: lines.append(line(*args, **how)))
    image = draw(EigenPlaces(side, 1, 0.5, 1), names_of([*places, places[0]]))
    assert len(pixels_of(image, INK)) > 50 and 30 < len(lines) < 100


def test_a_folder_that_cannot_be_made_is_one_line(workdir):
    open("run", "w").close()
    with pytest.raises(UserError, match="run/classes cannot be made: .*; maps of classes are drawn there"):
        method = EigenPlaces(15, 3, 10, 2)
        save_class_maps(method.build(street()), method, 1, 1, "run/classes")
