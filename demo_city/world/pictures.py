"""The textures of a district, by what they show."""

from demo_city.engine.textures import TextureTable
from demo_city.looks.houses import House, wall_texture
from demo_city.looks.plants import bark_texture, leaves_texture
from demo_city.looks.signs import person_texture, sign_texture
from demo_city.looks.surfaces import ground_texture, material_texture, plain_texture

SIGNS = 24  # different signs of a kind in a district, and different people: each costs a picture


class Pictures:
    """Declares textures in a table, each once; all methods return its index."""

    def __init__(self, table: TextureTable):
        self.table = table

    @property
    def plain(self) -> int:
        """White, to be tinted."""
        return self.table.index("plain", plain_texture)

    def ground(self, kind: str, variant: int = 0) -> int:
        """Repeats every 8 m."""
        return self.table.index(("ground", kind, variant), lambda: ground_texture(kind, variant))

    def material(self, kind: str, variant: int = 0) -> int:
        """Wood, metal, stone and the like."""
        return self.table.index(("material", kind, variant), lambda: material_texture(kind, variant))

    def leaves(self, kind: str, variant: int = 0) -> int:
        """A clump of leaves, a cutout."""
        return self.table.index(("leaves", kind, variant), lambda: leaves_texture(kind, variant))

    def bark(self, kind: str, variant: int = 0) -> int:
        """Of a trunk."""
        return self.table.index(("bark", kind, variant), lambda: bark_texture(kind, variant))

    def sign(self, kind: str, key: int) -> int:
        """A sign, poster or screen."""
        key %= SIGNS
        return self.table.index(("sign", kind, key), lambda: sign_texture(kind, key))

    def person(self, key: int) -> int:
        """A figure, a cutout."""
        key %= SIGNS
        return self.table.index(("person", key), lambda: person_texture(key))

    def wall(self, house: House, kind: str, piece: int, length: float, height: float) -> int:
        """One wall of a building; length and height in metres."""
        key = ("wall", house.key, kind, piece, round(length, 2), round(height, 2))
        return self.table.index(key, lambda: wall_texture(house, kind, piece, length, height))
