"""The ground: carriageways, kerbs, pavements, what is painted on them, and the yards behind."""

import numpy as np

from demo_city.engine.mesh import DETAIL, GROUND, Mesh
from demo_city.looks.surfaces import TILE
from demo_city.world import shapes
from demo_city.world.network import Block, Network, Side, Street
from demo_city.world.pictures import Pictures
from demo_city.world.terrain import PAVEMENT, ROAD, WATER, GroundMap, Terrain

KERB = 0.18  # width of the kerb stone, metres
PAINT = 0.015  # height of markings above the ground, metres
PAINT_TINT = (226, 226, 216)
GRID = 9  # points of a yard in each direction
WATER_LEVEL = -1.3  # metres, of water below the pavement's edge
FAR = 700.0  # metres, as far as the ground reaches beyond the district


def yard_height(street_kerb: float) -> float:
    """Height of a pavement and of the yards behind it above the carriageway, metres."""
    return max(street_kerb, 0.03)


class GroundBuilder:
    """Makes the meshes of the ground of one district, and marks the map."""

    def __init__(self, pictures: Pictures, terrain: Terrain, ground_map: GroundMap):
        self.pictures, self.terrain, self.map = pictures, terrain, ground_map
        self.meshes: list[Mesh] = []

    def flat(self, xy: np.ndarray) -> np.ndarray:
        """Texture coordinates (n, 2) of points on the ground, by their place."""
        return np.asarray(xy, float) / TILE

    def network(self, network: Network) -> None:
        """All streets, crossings and pavements."""
        for block in network.blocks:
            self.block_edge(block)
        for street in network.streets:
            if street.real:
                self.carriageway(street)
                self.markings(street)
        wide = max((s for s in network.streets if s.real), key=lambda s: s.roadway)
        for outline in network.crossings:
            self.crossing(outline, wide)

    def carriageway(self, street: Street) -> None:
        """The surface between the kerbs, from crossing to crossing."""
        s, look = street.stations(), street.look
        left, right = (street.beside(s, k * street.roadway) for k in (-1, 1))
        middle = street.at(s)
        texture = self.pictures.ground(look["road"], look["variant"])
        tint = np.full(3, 255 * min(look["shade"], 1.0))
        for a, b, at, to in ((left, middle, -street.roadway, 0.0), (middle, right, 0.0, street.roadway)):
            uv_a, uv_b = (np.stack([np.full_like(s, x), -s], 1) / TILE for x in (at, to))
            self.meshes.append(shapes.strip(self.terrain.on(a), self.terrain.on(b), uv_a, uv_b, texture, tint, GROUND))
        self.map.mark(np.concatenate([left, right[::-1]]), ROAD)

    def crossing(self, outline: np.ndarray, street: Street) -> None:
        """The surface where streets meet."""
        keep = np.hypot(*(np.roll(outline, -1, 0) - outline).T) > 0.02
        outline = outline[keep]
        count = len(outline)
        points = np.concatenate([outline.mean(0)[None], outline])
        k = np.arange(count)
        faces = np.stack([np.zeros_like(k), k + 1, (k + 1) % count + 1], 1)
        texture = self.pictures.ground(street.look["road"], street.look["variant"])
        tint = np.full(3, 255 * min(street.look["shade"], 1.0))
        self.meshes.append(shapes.make(self.terrain.on(points), self.flat(points), faces, texture, tint, GROUND))
        self.map.mark(outline, ROAD)

    def block_edge(self, block: Block) -> None:
        """Kerb, verge and pavement along the streets round a block."""
        for side in (side for line in block.sides for side in line):
            if side.street.real:
                self.pavement(side)

    def pavement(self, side: Side) -> None:
        """The kerb stones and the pavement of one side of a street."""
        street, look = side.street, side.street.look
        kerb, plot = side.kerb, side.plot
        up = yard_height(look["kerb"])
        self.map.mark(np.concatenate([kerb, plot[::-1]]), PAVEMENT)
        run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(kerb, axis=0).T))])
        wide = np.maximum(np.hypot(*(plot - kerb).T), 0.05)[:, None]
        edges = [0.0, KERB, max(look["verge"], KERB), street.pavement]
        stone = self.pictures.ground("kerb", look["stone"])
        low, high = self.terrain.on(kerb, -0.05), self.terrain.on(kerb, up)
        uv = np.stack([np.zeros_like(run), run], 1) / TILE
        self.meshes.append(shapes.strip(high, low, uv, uv + (up / TILE, 0), stone, (225, 225, 225), GROUND))
        kinds = ("kerb", "grass", look["paving"])
        for a, b, kind in zip(edges[:-1], edges[1:], kinds, strict=True):
            if b - a < 0.02:
                continue
            inner = kerb + (plot - kerb) / wide * np.minimum(a, wide)
            outer = kerb + (plot - kerb) / wide * np.minimum(b, wide) if b < street.pavement else plot
            uv_a, uv_b = (np.stack([np.full_like(run, x), -run], 1) / TILE for x in (a, b))
            texture = stone if kind == "kerb" else self.pictures.ground(kind, look["variant"])
            self.meshes.append(
                shapes.strip(
                    self.terrain.on(outer, up), self.terrain.on(inner, up), uv_b, uv_a, texture, (255,) * 3, GROUND
                )
            )

    def ribbon(
        self,
        street: Street,
        start: float,
        end: float,
        left: float,
        right: float,
        texture: int,
        tint: tuple,
        above: float = PAINT,
    ) -> None:
        """A band on a carriageway.

        street: the street
        start, end: metres along it
        left, right: metres to the right of the centre line
        texture, tint: of the band
        above: metres above the carriageway
        """
        s = np.linspace(start, end, max(int((end - start) / 6), 1) + 1)
        uv = [np.stack([np.full_like(s, x), -s], 1) / TILE for x in (left, right)]
        a, b = (self.terrain.on(street.beside(s, x), above) for x in (left, right))
        self.meshes.append(shapes.strip(a, b, *uv, texture, tint, GROUND | DETAIL))

    def markings(self, street: Street) -> None:
        """Lines, zebra crossings and patches."""
        plain, (start, end) = self.pictures.plain, (street.trims[0], street.length - street.trims[1])
        look, half = street.look, street.roadway
        self._patches(street)
        if not look["marked"] or end - start < 12:
            return
        style = look["lines"]
        tint = look["line_tint"]
        if style["centre"] and half > 2.4:
            step = style["dash"]
            for s in np.arange(start + 5, end - 5, step):
                self.ribbon(street, s, min(s + step * style["duty"], end - 5), -0.07, 0.07, plain, tint)
        if style["edges"]:
            for right in (-half + 0.3, half - 0.3):
                self.ribbon(street, start + 4, end - 4, right - 0.06, right + 0.06, plain, look["edge_tint"])
        if style["lanes"] and half > 5.5:
            for right in (-half / 2, half / 2):
                for s in np.arange(start + 6, end - 6, 9.0):
                    self.ribbon(street, s, s + 3, right - 0.06, right + 0.06, plain, PAINT_TINT)
        if style["cycle"] and half > 4:
            for sign in (-1, 1):
                low, high = sorted((sign * (half - 1.5), sign * (half - 0.1)))
                self.ribbon(street, start, end, low, high, self.pictures.ground("asphalt", 1), style["cycle"])
        if style["zebra"]:
            for s in (start + 0.6, end - 3.6):
                self._zebra(street, s, style["zebra"] == "bars")

    def _zebra(self, street: Street, s: float, bars: bool) -> None:
        half = street.roadway
        if not bars:
            for at in (s, s + 2.6):
                self.ribbon(street, at, at + 0.35, -half + 0.2, half - 0.2, self.pictures.plain, PAINT_TINT)
            return
        for right in np.arange(-half + 0.4, half - 0.7, 1.05):
            self.ribbon(street, s, s + 3.0, right, right + 0.52, self.pictures.plain, PAINT_TINT)

    def _patches(self, street: Street) -> None:
        """Mended places, manhole covers, and rails."""
        look, half = street.look, street.roadway
        for s, right, length, width, dark in look["patches"]:
            low, high = max(right - width / 2, -half + 0.2), min(right + width / 2, half - 0.2)
            begin = street.trims[0] + s * max(street.length - sum(street.trims) - length, 0)
            texture = self.pictures.ground("asphalt", int(s * 4))
            self.ribbon(street, begin, begin + length, low, high, texture, (255 * dark,) * 3, PAINT / 2)
        if look["tram"]:
            bed = self.pictures.ground(look["tram"], look["stone"])
            for centre in (-1.55, 1.55) if half > 4.2 else (0.0,):
                self.ribbon(street, 0.0, street.length, centre - 1.15, centre + 1.15, bed, (235,) * 3, PAINT / 2)
                for rail in (centre - 0.72, centre + 0.72):
                    edges = rail - 0.05, rail + 0.05
                    self.ribbon(street, 0.0, street.length, *edges, self.pictures.plain, (96, 94, 92))

    def yard(self, block: Block, kind: str, variant: int, above: float, tint: tuple = (255, 255, 255)) -> None:
        """The ground of a block behind its pavements."""
        points = block.inner(GRID)
        points = points.mean((0, 1)) + (points - points.mean((0, 1))) * 1.012  # under the pavements' edges
        self.meshes.append(
            shapes.sheet(
                self.terrain.on(points, above - 0.03),
                self.flat(points),
                self.pictures.ground(kind, variant),
                tint,
                GROUND,
            )
        )

    def patch(self, outline: np.ndarray, kind: str, variant: int, above: float, tint: tuple = (255,) * 3) -> None:
        """A flat quadrangle (4, 2) of ground of another kind, `above` metres above the terrain."""
        a, b, c, d = np.asarray(outline, float)
        size = max(np.hypot(*(b - a)), np.hypot(*(d - a)))
        count = max(int(size / 8), 1) + 1
        u, v = np.linspace(0, 1, count)[:, None, None], np.linspace(0, 1, count)[None, :, None]
        points = (1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * c)
        self.meshes.append(
            shapes.sheet(
                self.terrain.on(points, above), self.flat(points), self.pictures.ground(kind, variant), tint, GROUND
            )
        )

    def water(self, block: Block, surface: float, stone: int) -> None:
        """A basin or the open water, with walls of stone.

        block: the block
        surface: height of the water, metres
        stone: texture of the walls
        """
        points = block.inner(GRID)
        sheet = np.concatenate([points, np.full((*points.shape[:2], 1), surface)], -1)
        uv = points / TILE / 2
        self.meshes.append(shapes.sheet(sheet, uv, self.pictures.ground("water", 0), (255,) * 3, GROUND))
        for k in range(4):
            line = block.border(k)
            self.map.mark(line, WATER)
            if not any(side.street.real for side in block.sides[k]):
                continue
            top = self.terrain.on(line, 0.05)
            bottom = np.column_stack([line, np.full(len(line), surface - 0.5)])
            run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
            uv = np.stack([run, np.zeros_like(run)], 1) / 2
            self.meshes.append(shapes.strip(bottom, top, uv + (0, 1), uv, stone, (200, 200, 196)))
        self.map.mark(np.concatenate([block.border(k)[:-1] for k in range(4)]), WATER)

    def beyond(self, low: np.ndarray, high: np.ndarray, kind: str, sea: float | None) -> None:
        """What lies round the district, far out; sea: height of the water that is also there, or None."""
        middle, reach = (low + high) / 2, (high - low).max() / 2
        turn = np.linspace(0, 2 * np.pi, 25)
        rings = np.array([0.0, 0.35, 0.7, 1.0, 1.25, 1.6, 2.2])
        radii = np.append(rings * reach * 1.2, reach + FAR)
        xy = middle + radii[:, None, None] * np.stack([np.cos(turn), np.sin(turn)], -1)
        points = self.terrain.on(xy, -0.6)
        inside = radii < reach * 1.1
        points[inside, :, 2] -= 6.0
        if sea is not None:
            points[..., 2] = np.where(inside[:, None], points[..., 2], sea - 0.05)
            kind = "water"
        self.meshes.append(shapes.sheet(points, xy / TILE, self.pictures.ground(kind, 0), (235,) * 3, GROUND))
