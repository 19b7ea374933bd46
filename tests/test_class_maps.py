"""Maps of classes."""

import os

import numpy as np
import pytest
from PIL import Image

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
    north, west, south, east = (ground[y + b, x + a] for a, b in ((6, -50), (-50, 6), (6, 50), (50, 6)))
    assert north[2] - north[0] > 30 > south[2] - south[0]  # blue
    assert west[0] - west[2] > 60 > east[0] - east[2]  # orange


def test_crops_that_are_not_cut_are_drawn_as_they_look():
    """The lateral point is north of the camera, and the image that faces it looks 20 degrees right of it."""
    names = [format_name(EAST + 20, NORTH + 20, 10, "S", pano_id=str(h), heading=h) for h in (20, 270)]
    image = draw(NearestCrops(15, 3, 10, 1, 40, 0), names)
    x, y = pixels_of(image, INK).mean(axis=0).round().astype(int)
    ground = np.asarray(image).astype(int)
    right, left, west = (ground[y + b, x + a] for a, b in ((38, -38), (-12, -58), (-50, 6)))
    assert right[2] - right[0] > 30 > left[2] - left[0]  # blue, from -8 to 48 degrees
    assert west[0] - west[2] > 60


@pytest.mark.parametrize(("count", "drawn"), [(0, 0), (1, 1), (3, 3), (99, 6)])
def test_as_many_classes_as_were_asked_for_are_drawn(workdir, count, drawn):
    method = EigenPlaces(15, 4, 10, 2)
    groups = method.build(street(8))
    assert [groups.num_classes(group) for group in range(groups.num_groups)] == [2] * 4
    save_class_maps(groups, method, 3, count, "run/classes")
    found = sorted(os.listdir("run/classes")) if drawn else []
    assert len(found) == drawn and os.path.exists("run") == bool(drawn)
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
def test_cells_of_any_size_and_cameras_at_one_place(side, places):
    image = draw(EigenPlaces(side, 1, 0.5, 1), names_of([*places, places[0]]))
    assert len(pixels_of(image, INK)) > 50


def test_a_folder_that_cannot_be_made_is_one_line(workdir):
    open("run", "w").close()
    with pytest.raises(UserError, match="run/classes cannot be made: .*; maps of classes are drawn there"):
        method = EigenPlaces(15, 3, 10, 2)
        save_class_maps(method.build(street()), method, 1, 1, "run/classes")
