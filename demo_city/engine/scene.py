"""A district on one day or night, ready to be photographed."""

from collections.abc import Iterable

import numpy as np
from PIL import Image

from demo_city.camera import Camera
from demo_city.engine import lighting
from demo_city.engine.draw import Target, View, draw, new_target
from demo_city.engine.lamps import Lamps
from demo_city.engine.light import new_row
from demo_city.engine.memory import TextureMemory
from demo_city.engine.mesh import CUTOUT, FOLIAGE, Mesh, MeshBuilder
from demo_city.engine.mirror import mirror
from demo_city.engine.openness import Openness, openness_of
from demo_city.engine.shade import shade
from demo_city.engine.shadow import Shadows, cast, shadows_of, window
from demo_city.engine.textures import TextureTable
from demo_city.engine.tone import tone
from demo_city.engine.triangles import Triangles, nearby, triangles_of
from demo_city.weather import Capture

_SHADOW_REACH = 110.0  # metres around a camera
_UNKNOWN, _WANTED = -1, -2  # as in engine.draw


class Scene:
    """All that stays the same on one day or night.

    textures: of the mesh
    mesh: of the day, all but what moves
    lamps: that shine at night
    capture: the day or night
    key: decides which windows are lit
    owners: number of buildings to which faces belong
    memory: for textures, which scenes may share
    """

    def __init__(
        self,
        textures: TextureTable,
        mesh: Mesh,
        lamps: Lamps,
        capture: Capture,
        key: int,
        owners: int,
        memory: TextureMemory,
    ):
        self.textures, self.capture, self.memory = textures, capture, memory
        self.triangles = triangles_of(mesh)
        self.light = lighting.light_of(capture, lamps, key, owners)
        self._slots = np.empty(0, np.int32)
        self._cutout = np.zeros(0, bool)
        self.note(self.triangles)
        self._epoch = memory.epoch
        self._shadows: tuple[Shadows, Openness] | None = None

    def note(self, triangles: Triangles) -> None:
        """Makes room for textures that were declared since, and finds out which are of cutouts."""
        more = len(self.textures.textures) - len(self._slots)
        if more > 0:
            self._slots = np.append(self._slots, np.full(more, _UNKNOWN, np.int32))
            self._cutout = np.append(self._cutout, np.zeros(more, bool))
        self._cutout[triangles.texture[(triangles.flags & CUTOUT) > 0]] = True

    def load(self, indices: Iterable[int]) -> np.ndarray:
        """Makes sure that some textures are in memory together; returns the slots of all textures."""
        capture, wanted = self.capture, np.fromiter(indices, np.int64)
        if self._epoch == self.memory.epoch and (self._slots[wanted] >= 0).all():
            return self._slots
        asked = [
            (index, self.textures.textures[index].version(capture.year, capture.season), bool(self._cutout[index]))
            for index in wanted.tolist()
        ]
        found = self.memory.slots(self.textures, asked)
        if self._epoch != self.memory.epoch:
            self._slots[:] = _UNKNOWN
            self._epoch = self.memory.epoch
        self._slots[wanted] = found
        return self._slots

    def shadows(self) -> tuple[Shadows, Openness]:
        """The shadows of all that does not move, and how much of the sky is seen."""
        if self._shadows is None:
            leaves = self.triangles.texture[(self.triangles.flags & FOLIAGE) > 0]
            slots, texels, sunny = self.load(np.unique(leaves)), self.memory.arrays, self.light.sun_colour.any()
            self._shadows = (
                shadows_of(self.triangles, self.light.sun, texels, slots) if sunny else lighting.NO_SHADOWS,
                openness_of(self.triangles, texels, slots),
            )
        return self._shadows

    def around(self, position: np.ndarray, moving: Mesh | None = None, lights: Lamps | None = None) -> "Surroundings":
        """Prepares views from one place, (3,) in metres; moving, lights: what is there at that moment only."""
        return Surroundings(self, np.asarray(position, np.float64), moving, lights)


class Surroundings:
    """What is seen from one place at one moment, in whatever direction one looks."""

    def __init__(self, scene: Scene, position: np.ndarray, moving: Mesh | None, lights: Lamps | None):
        self._scene = scene
        still, moves = scene.triangles, triangles_of(MeshBuilder().build() if moving is None else moving)
        scene.note(moves)
        self._parts = [(moves, 1, nearby(moves, position)), (still, 0, nearby(still, position))]
        self._light = lighting.with_lights(scene.light, lights, position) if scene.capture.night else scene.light
        shadows, openness = scene.shadows()
        self._shadows, cover = (window(part, position, _SHADOW_REACH) for part in (shadows, openness.cover))
        self._openness = openness._replace(cover=cover)
        slots = scene.load(np.unique(moves.texture[(moves.flags & CUTOUT) > 0]))
        for part in (self._shadows, cover):
            cast(moves, part, scene.memory.arrays, slots, False)

    def view(self, camera: Camera, pixels: int, supersample: float = 1.5, buffers: dict | None = None) -> Image.Image:
        """Renders a photograph, before the camera's faults.

        camera: at the place of these surroundings, or near it
        pixels: side of the developed photograph
        supersample: pixels of the result for one of these
        buffers: if given, receives "depth" (metres along the axis, infinite where nothing is), "owner", "flags",
            "triangle" (-1 where nothing is) and "moves" (whether it belongs to what moves), of the result's pixels
        Returns RGB of round(pixels * supersample) pixels a side.
        """
        scene, size = self._scene, round(pixels * supersample)
        view = View(np.asarray(camera.position, np.float64), camera.axes, float(camera.focal_length(size)), size)
        target = self._draw(view, float(np.tan(np.radians(camera.field_of_view / 2))))
        slots = scene.load(self._drawn_textures(target))
        light = np.empty((size, size, 3), np.float32)
        shade(
            view, target, scene.memory.arrays, slots, self._light, self._shadows, self._openness, new_row(size), light
        )
        if self._light.wet > 0.05:
            mirror(view, target, self._light, light)
        picture = np.empty((size, size, 3), np.uint8)
        night = bool(scene.capture.night)
        tone(light, 0.5 if night else 0.6, 0.39 if night else 0.52, picture)
        if buffers is not None:
            self._tell(target, buffers)
        return Image.fromarray(picture)

    def _draw(self, view: View, spread: float) -> Target:
        """Finds out what is seen; once more if cutouts came into sight whose textures were not in memory."""
        scene, wanted = self._scene, set()
        parts = [
            (triangles, moves, *cells.in_sight(view.position, view.axes, spread))
            for triangles, moves, cells in self._parts
        ]
        while True:
            target, slots, missing = new_target(view.size), scene.load(sorted(wanted)), 0
            for cutouts in (False, True):
                for part in parts:
                    missing += draw(*part, cutouts, view, scene.memory.arrays, slots, target)
            if not missing:
                return target
            wanted.update(np.flatnonzero(slots == _WANTED).tolist())

    @staticmethod
    def _drawn_textures(target: Target) -> np.ndarray:
        seen = np.zeros(target.count[0] + 1, bool)
        seen[target.drawn] = True  # -1: nothing, the last one
        return np.unique(target.texture[: target.count[0]][seen[:-1]])

    @staticmethod
    def _tell(target: Target, buffers: dict) -> None:
        nothing = target.drawn < 0
        row = np.maximum(target.drawn, 0)
        with np.errstate(divide="ignore"):
            buffers["depth"] = 1 / target.nearness
        for name, values, fill in (
            ("triangle", target.index, -1),
            ("owner", target.owner, -1),
            ("flags", target.flags, 0),
        ):
            buffers[name] = np.where(nothing, fill, values[row].astype(np.int32))
        buffers["moves"] = ~nothing & (target.moves[row] == 1)
