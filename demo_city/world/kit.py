"""A kit of parts: collects simple bodies of one thing, by the names of their materials."""

from collections.abc import Sequence

import numpy as np

from demo_city.engine.mesh import NO_OWNER, Mesh
from demo_city.world import shapes
from demo_city.world.pictures import Pictures
from demo_city.world.shapes import WHITE

AROUND = ("front", "right", "back", "left", "top")
CLOSED = (*AROUND, "bottom")
IRON, STEEL, DARK = (58, 60, 62), (150, 154, 158), (34, 36, 38)
Point = Sequence[float]


class Kit:
    """Builds one thing. In all methods `material` is a name of looks.surfaces.MATERIALS, or "" for plain.

    pictures: of the district
    rng: what its maker draws from
    variant: of its materials
    owner: of all faces
    """

    def __init__(self, pictures: Pictures, rng: np.random.Generator, variant: int = 0, owner: int = NO_OWNER):
        self.pictures, self.rng, self.variant, self.owner = pictures, rng, variant, owner
        self._parts: list[Mesh] = []

    def texture(self, material: str) -> int:
        """The index of a material's texture."""
        return self.pictures.material(material, self.variant) if material else self.pictures.plain

    def pick(self, *choices: object) -> object:
        """One of some things."""
        return choices[int(self.rng.integers(len(choices)))]

    def add(self, mesh: Mesh) -> None:
        """Adds any mesh."""
        self._parts.append(mesh)

    def box(
        self,
        low: Point,
        high: Point,
        tint: Point = WHITE,
        material: str = "",
        flags: int = 0,
        sides: Sequence[str] = AROUND,
    ) -> None:
        """Adds a box between two corners (3,)."""
        texture = self.texture(material)
        self.add(shapes.box(low, high, texture, tint, flags, self.owner, sides, metres=2.0))

    def rod(
        self,
        start: Point,
        end: Point,
        radius: float | tuple[float, float],
        tint: Point = WHITE,
        material: str = "",
        flags: int = 0,
        sides: int = 4,
    ) -> None:
        """Adds a bar between two points (3,)."""
        self.add(shapes.rod(start, end, radius, self.texture(material), tint, flags, sides))

    def drum(
        self,
        radius: float,
        low: float,
        high: float,
        tint: Point = WHITE,
        material: str = "",
        at: Point = (0.0, 0.0),
        flags: int = 0,
        sides: int = 8,
        top: bool = True,
    ) -> None:
        """Adds an upright cylinder round a place (2,)."""
        self.add(shapes.prism(shapes.circle(radius, sides, at), low, high, self.texture(material), tint, flags, top))

    def cone(
        self,
        radius: float,
        low: float,
        high: float,
        tint: Point = WHITE,
        material: str = "",
        at: Point = (0.0, 0.0),
        flags: int = 0,
        sides: int = 8,
    ) -> None:
        """Adds a cone round a place (2,), which points down where `high` lies below `low`."""
        ring = shapes.circle(radius, sides, at)
        ring = ring if high > low else ring[::-1]
        self.add(shapes.cone(ring, low, (*at, high), self.texture(material), tint, flags, self.owner))

    def card(
        self,
        x: tuple[float, float],
        y: float,
        z: tuple[float, float],
        texture: int,
        tint: Point = WHITE,
        flags: int = 0,
    ) -> None:
        """Adds an upright picture in the plane y, seen from lower y; from higher y where x falls."""
        (left, right), (low, high) = x, z
        corners = ((left, y, low), (right, y, low), (right, y, high), (left, y, high))
        self.add(shapes.quad(corners, texture, tint, flags, self.owner))

    def board(
        self,
        x: float,
        y: tuple[float, float],
        z: tuple[float, float],
        texture: int,
        tint: Point = WHITE,
        flags: int = 0,
    ) -> None:
        """Adds an upright picture in the plane x, seen from higher x; from lower x where y falls."""
        (left, right), (low, high) = y, z
        corners = ((x, left, low), (x, right, low), (x, right, high), (x, left, high))
        self.add(shapes.quad(corners, texture, tint, flags, self.owner))

    def done(self) -> Mesh:
        """All parts in one mesh."""
        return Mesh.joined(self._parts)
