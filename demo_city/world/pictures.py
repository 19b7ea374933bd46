"""The textures of a district, by what they show."""

from functools import partial

from demo_city.engine.textures import TextureTable
from demo_city.looks.fixtures import Fixture
from demo_city.looks.houses import wall_texture
from demo_city.looks.plan import House
from demo_city.looks.signs import person_texture, sign_texture
from demo_city.looks.surfaces import bark_texture, ground_texture, leaves_texture, material_texture, plain_texture

SIGNS = 24  # different signs of a kind in a district, and different people: each costs a picture


class Pictures:
    """Declares the textures of a district in a table, each once; all methods return its index. key: of the district."""

    def __init__(self, key: int):
        self.key, self.table = key, TextureTable()
        self.plain = self.table.index("plain", plain_texture)  # white, to be tinted
        self.wheel = self.table.index("wheel", partial(sign_texture, "wheel", 0))

    def ground(self, kind: str, variant: int = 0) -> int:
        """Repeats every 8 m."""
        return self.table.index(("ground", kind, variant), partial(ground_texture, kind, variant))

    def material(self, kind: str, variant: int = 0) -> int:
        """Wood, metal, stone and the like."""
        return self.table.index(("material", kind, variant), partial(material_texture, kind, variant))

    def leaves(self, kind: str, variant: int = 0) -> int:
        """A clump of leaves, a cutout."""
        return self.table.index(("leaves", kind, variant % 3), partial(leaves_texture, kind, variant % 3))

    def bark(self, kind: str, variant: int = 0) -> int:
        """Of a trunk."""
        return self.table.index(("bark", kind, variant), partial(bark_texture, kind, variant))

    def sign(self, kind: str, key: int) -> int:
        """A sign, poster or screen."""
        return self.table.index(("sign", kind, key % SIGNS), partial(sign_texture, kind, self.key + key % SIGNS))

    def person(self, key: int) -> int:
        """A figure, a cutout."""
        return self.table.index(("person", key % SIGNS), partial(person_texture, self.key + key % SIGNS))

    def wall(self, house: House, kind: str, piece: int, length: float, height: float) -> int:
        """One wall of a building; length and height in metres."""
        key = ("wall", house.key, kind, piece, round(length, 2), round(height, 2))
        return self.table.index(key, partial(wall_texture, house, kind, piece, length, height))

    def fixture(self, each: Fixture) -> int:
        """Of what sticks out of a wall."""
        return self.table.index(each.texture_key, lambda: each.texture)
