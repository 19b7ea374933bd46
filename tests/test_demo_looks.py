"""demo_city.looks: every kind of picture draws, always the same, and changes only when its version does."""

import numpy as np
import pytest

from demo_city import styles
from demo_city.engine.textures import Texture
from demo_city.looks import signs, surfaces
from demo_city.looks.canvas import colours, table
from demo_city.looks.fixtures import fixtures
from demo_city.looks.houses import wall_texture
from demo_city.looks.plan import House, dress
from demo_city.seeds import random_for, weights
from demo_city.styles import STYLES

SEASONS = ("spring", "summer", "autumn", "winter")
USES = ("home", "flats", "shop", "office", "tower", "warehouse", "hall", "church")
ROOFS = ("flat", "gable", "hip", "mansard", "shed", "sawtooth")
WALLS = ("front", "side", "party", "back", "roof", "chimney", "gable")
EVERGREEN = ("conifer", "palm", "hedge", "ivy")
WITH_WINDOWS = {"front", "side", "party", "back", "roof", "gable"}  # the walls that may shine


def house(number: int, style: str = "perimeter", use: str = "flats", storeys: int = 3) -> House:
    return House(number * 7919 + 13, style, use, storeys, 3.8, 3.1, ROOFS[number % len(ROOFS)])


def painted(texture: Texture, year: int = 2019, season: str = "summer") -> np.ndarray:
    """The picture; asserts its size and type."""
    image = texture.paint(texture.version(year, season))
    assert image.shape == (texture.height, texture.width, 4) and image.dtype == np.uint8
    assert max(image.shape) <= 1024
    return image


@pytest.mark.parametrize("style", STYLES)
def test_all_walls_of_all_uses(style):
    for number, use in enumerate(USES):
        building = house(number, style, use, 1 + number % 3)
        for kind in WALLS[number % 2 :: 2]:
            length, height = 5.0 + 2 * number, building.height if kind in ("front", "side", "party", "back") else 2.5
            image = painted(wall_texture(building, kind, 0, length, height))
            assert image[..., :3].std() > 1, (style, use, kind)  # not of one colour
            assert image[..., 3].max() == 0 or kind in WITH_WINDOWS
            assert image[..., 3].max() < 200 or kind in ("front", "side"), (style, use, kind)  # shops are there alone


def test_walls_have_16_texels_a_metre_and_at_most_512():
    texture = wall_texture(house(1), "front", 0, 10.0, 12.0)
    assert (texture.width, texture.height) == (160, 192)
    texture = wall_texture(house(1, "towers", "tower", 25), "front", 0, 20.0, 80.0)
    assert (texture.width, texture.height) == (128, 512)  # the same scale in both directions
    painted(texture)
    painted(wall_texture(house(2), "side", 3, 0.2, 0.1))  # a sliver
    painted(wall_texture(house(3), "front", 0, 150.0, 10.0))


def test_walls_change_with_their_version_alone():
    changed = 0
    for number in range(8):
        building = house(number, "perimeter", "shop")
        texture = wall_texture(building, "front", 0, 9.0, building.height)
        again = wall_texture(building, "front", 0, 9.0, building.height)
        versions = {year: texture.version(year, "summer") for year in (2012, 2019, 2022)}
        pictures = {version: texture.paint(version) for version in set(versions.values())}
        for year in versions:
            assert np.array_equal(painted(again, year), pictures[versions[year]])
        for one in pictures:  # another tenant is seen
            others = [other for other in pictures if other[1] != one[1]]
            changed += len(others)
            assert all(not np.array_equal(pictures[one], pictures[other]) for other in others)
    assert changed > 4


def test_walls_of_houses_differ():
    pictures = [painted(wall_texture(house(number), "front", 0, 8.0, 10.0)) for number in range(6)]
    assert all((a[..., :3] != b[..., :3]).mean() > 0.3 for a, b in zip(pictures[:-1], pictures[1:], strict=True))


def test_paint_changes_colours_alone():
    for number in range(40):
        building = house(number, STYLES[number % 10], USES[number % 8])
        first, second = vars(dress(building, 0)), vars(dress(building, 1))
        changed = {name for name in first if first[name] != second[name]}
        assert changed <= {"wall", "base", "trim", "frame", "door", "shutters"}


def test_fixtures_lie_within_their_wall():
    kinds = set()
    for style in STYLES:
        for number, use in enumerate(USES * 3):
            building = house(number, style, use, 2 + number % 4)
            for each in fixtures(building, "front", 12.0) + fixtures(building, "side", 7.0):
                kinds.add(each.kind)
                assert -0.01 <= each.left < each.right <= 12.01 and -0.01 <= each.low < each.high and each.depth > 0
                assert each.high <= building.height + 2.5 and len(each.tint) == 3 and hash(each.texture_key) is not None
                if number < len(USES):
                    image = painted(each.texture)
                    assert "rail" not in str(each.texture_key) or {0, 255} <= set(np.unique(image[..., 3]))
    wanted = {"balcony", "bay", "awning", "canopy", "blade", "board", "air_conditioner", "pipe", "cornice"}
    assert wanted | {"fire_escape", "steps", "slab"} <= kinds
    assert any(each.kind == "dormer" for n in range(1, 40) for each in fixtures(house(n), "roof", 12.0))
    assert fixtures(house(1), "party", 9.0) == []


def test_fixtures_are_where_shops_and_windows_are_painted():
    """Blades hang in front of shops: there the painted wall has display windows, which shine."""
    building = next(b for b in (house(n, "high_street", "shop") for n in range(40)) if fixtures(b, "front", 12.0))
    awnings = [f for n in range(40) for f in fixtures(house(n, "market", "shop"), "front", 12.0) if f.kind == "awning"]
    assert awnings
    image = painted(wall_texture(building, "front", 0, 12.0, building.height))
    assert (image[-40:, :, 3] >= 200).any()


@pytest.mark.parametrize("kind", [*table("loose"), *table("paved"), "cobbles", "water", "tram"])
def test_grounds(kind):
    for variant in range(2):
        image = painted(surfaces.ground_texture(kind, variant))
        assert image[..., 3].max() == 0  # grounds do not shine
        assert 20 < image[..., :3].mean() < 225


@pytest.mark.parametrize("kind", table("things"))
def test_materials(kind):
    for variant in range(2):
        assert painted(surfaces.material_texture(kind, variant))[..., 3].max() == 0


def test_plain_is_nearly_white():
    image = painted(surfaces.plain_texture())
    assert image[..., :3].min() > 220 and image[..., 3].max() == 0


@pytest.mark.parametrize("kind", [*table("clumps"), "conifer", "palm", "grass"])
def test_leaves(kind):
    texture = surfaces.leaves_texture(kind, 0)
    there = {}
    for season in SEASONS:
        alpha = painted(texture, season=season)[..., 3]
        assert (alpha > 127).any() and (alpha < 128).any()
        there[season] = (alpha > 127).mean()
    assert there["summer"] > 0.2
    if kind not in (*EVERGREEN, "grass"):
        assert there["winter"] < 0.6 * there["summer"]
    assert (texture.version(2019, "summer") == texture.version(2019, "winter")) == (kind in EVERGREEN)
    painted(surfaces.bark_texture(kind, 1))


@pytest.mark.parametrize("kind", signs.SIGNS)
def test_signs(kind):
    for key in range(6):
        alpha = painted(signs.sign_texture(kind, key))[..., 3]
        if signs.SIGNS[kind].get("cutout"):
            assert (alpha > 127).any() and (alpha < 128).any()
        else:
            assert set(np.unique(alpha)) <= {0, *range(230, 256)}  # a sign's
    assert np.array_equal(painted(signs.sign_texture(kind, 5)), painted(signs.sign_texture(kind, 5)))
    assert painted(signs.sign_texture("traffic", 3)).shape == (48, 48, 4)


def test_people_dress_by_season():
    for key in range(12):
        texture = signs.person_texture(key)
        summer, winter = painted(texture, season="summer"), painted(texture, season="winter")
        assert ((summer[..., 3] > 127).mean() > 0.1) and (summer[..., 3] < 128).any()
        assert not np.array_equal(summer, winter)


@pytest.mark.parametrize("script", ("latin", "dense"))
def test_writing(script):
    for upright in (False, True):
        size = (20, 90) if upright else (90, 16)
        letters = [np.asarray(signs.writing(random_for("word", n), script, size, upright)) for n in range(3)]
        assert letters[0].shape == size[::-1]
        assert all(0.02 < (image > 127).mean() < 0.8 for image in letters[1:])
        assert not np.array_equal(letters[0], letters[1])


@pytest.mark.parametrize("name", STYLES)
def test_styles_name_what_there_is(name):
    look = styles.style(name)["look"]
    assert set(weights(look["windows"])) <= set(table("windows"))
    assert all(colours(material) for material in (*weights(look["materials"]), *weights(look["roofs"])))
    assert all(colours(text) for text in look.get("colours", {}).values())
    assert set(weights(look["fronts"])) <= {"glazed", "wood", "cafe", "lobby", "open", "closed"}
    assert len(STYLES) == 10


def test_walls_of_any_size_can_be_drawn():
    rng, uses = np.random.default_rng(0), ("home", "flats", "shop", "office", "tower", "warehouse", "hall", "church")
    for n in range(150):
        storeys, ground, storey = int(rng.integers(1, 14)), float(rng.uniform(2.6, 5.5)), float(rng.uniform(2.5, 4.5))
        house = House(n, STYLES[n % len(STYLES)], uses[n % len(uses)], storeys, ground, storey, "gable")
        kind, length = ("front", "side", "party", "back")[n % 4], float(rng.choice([rng.uniform(0.2, 3), 12.0]))
        texture = wall_texture(house, kind, 0, length, float(rng.choice([house.height, rng.uniform(0.3, 6)])))
        assert texture.paint(texture.version(2019, "summer")).shape == (texture.height, texture.width, 4)
        fixtures(house, kind, length)
