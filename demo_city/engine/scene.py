"""A district on one day or night, ready to be photographed."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from demo_city.camera import Camera
from demo_city.engine.develop import expose
from demo_city.engine.draw import Picture, draw, photograph_of
from demo_city.engine.light import Lamps, light_of
from demo_city.engine.maps import STEP, Maps, maps_of
from demo_city.engine.mesh import CUTOUT, Mesh
from demo_city.engine.shade import mirror, seen_of, shade
from demo_city.engine.textures import Texels, TextureMemory, TextureTable
from demo_city.engine.triangles import Triangles, triangles_of
from demo_city.weather import Capture

_UNKNOWN = -1


class Scene:
    """All that stays the same on one day or night.

    textures: of the meshes
    meshes: all but what moves; those that other scenes have too are made ready once
    lamps: that shine at night
    capture: the day or night
    key: decides which windows are lit
    owners: number of buildings to which faces belong
    memory: for textures, which scenes may share
    """

    def __init__(
        self,
        textures: TextureTable,
        meshes: Sequence[Mesh],
        lamps: Lamps,
        capture: Capture,
        key: int,
        owners: int,
        memory: TextureMemory,
    ):
        self.textures, self.lamps, self.capture, self.memory = textures, lamps, capture, memory
        self.parts = [triangles_of(mesh) for mesh in meshes]
        self.light = light_of(capture, lamps, key, owners)
        self._slots, self._cutout, self._epoch = np.empty(0, np.int32), np.zeros(0, bool), memory.epoch
        self.cutouts = np.unique(np.concatenate([self.note(part) for part in self.parts]))
        self._maps: tuple[np.ndarray, Maps] | None = None

    def note(self, triangles: Triangles) -> np.ndarray:
        """Makes room for textures that were declared since, and finds out which are of cutouts."""
        more = len(self.textures.textures) - len(self._slots)
        self._slots = np.append(self._slots, np.full(more, _UNKNOWN, np.int32))
        self._cutout = np.append(self._cutout, np.zeros(more, bool))
        found = np.unique(triangles.each["texture"][(triangles.each["flags"] & CUTOUT) > 0])
        self._cutout[found] = True
        return found

    def load(self, wanted: np.ndarray) -> Texels:
        """Makes sure that some textures are in memory together."""
        if self._epoch != self.memory.epoch or (self._slots[wanted] < 0).any():
            year, season = self.capture.year, self.capture.season
            known, cutout = self.textures.textures, self._cutout
            asked = [(index, known[index].version(year, season), bool(cutout[index])) for index in wanted.tolist()]
            found = self.memory.slots(self.textures, asked)
            if self._epoch != self.memory.epoch:
                self._slots[:], self._epoch = _UNKNOWN, self.memory.epoch
            self._slots[wanted] = found
        return self.memory.seen_by(self._slots)

    def maps(self, place: np.ndarray) -> Maps:
        """The maps of all that does not move around a place; those that were asked for last are kept."""
        middle = np.round(place[:2] / STEP) * STEP
        if self._maps is None or (self._maps[0] != middle).any():
            sun = self.light.sun * self.light.sun_colour.any()
            lamps = self.lamps if self.capture.night else Lamps()
            self._maps = middle, maps_of(self.parts, self.load(self.cutouts), middle, sun, lamps)
        return self._maps[1]

    def around(self, position: np.ndarray, moving: Mesh | None = None, lights: Lamps | None = None) -> "Surroundings":
        """Prepares views from one place, (3,) in metres; moving, lights: what is there at that moment only."""
        return Surroundings(self, np.asarray(position, np.float64), moving, lights)


class Surroundings:
    """What is seen from one place at one moment, in whatever direction one looks."""

    def __init__(self, scene: Scene, position: np.ndarray, moving: Mesh | None, lights: Lamps | None):
        self._scene, self._light, self._maps, self._cutouts = scene, scene.light, scene.maps(position), scene.cutouts
        self._parts = list(scene.parts)
        if moving is not None and len(moving.faces):
            self._parts.append(triangles_of(moving))
            self._cutouts = np.union1d(scene.cutouts, scene.note(self._parts[-1]))
            self._maps = self._maps.also(self._parts[-1], scene.load(self._cutouts))
        if lights is not None and scene.capture.night:
            self._light = scene.light.also(lights, position)
        self._cells = [part.around(position) for part in self._parts]

    def view(self, camera: Camera, size: int) -> Image.Image:
        """A picture of `size` pixels a side before the camera's faults; camera: at this place, or near it."""
        return Image.fromarray(expose(self.light(camera, size), bool(self._scene.capture.night)))

    def light(self, camera: Camera, size: int) -> np.ndarray:
        """The light of such a picture, float32 (size, size, 3), linear."""
        scene, picture, light = self._scene, photograph_of(camera, size), np.empty((size, size, 3), np.float32)
        rows = seen_of(self.draw(picture), picture, self._light)
        shade(picture, rows, scene.load(np.unique(rows["texture"])), self._light, self._maps, light)
        if self._light.wet > 0.05:
            mirror(picture, rows, self._light, light)
        return light

    def draw(self, picture: Picture) -> np.ndarray:
        """Finds out what is seen in an empty photograph: TRIANGLE (n,), whose numbers picture.seen gets."""
        texels = self._scene.load(self._cutouts)
        first = np.cumsum([0, *(len(part.each) for part in self._parts)])
        for flags in (0, CUTOUT):
            for part, (cells, detailed), number in zip(self._parts, self._cells, first, strict=False):
                draw(part, cells, detailed, CUTOUT, flags, texels, int(number), picture)
        shown, rows = np.zeros(first[-1] + 1, bool), np.empty(first[-1] + 1, np.int32)
        shown[picture.seen] = True  # -1, where nothing is, is the last one
        numbers = np.flatnonzero(shown[:-1])
        rows[numbers], rows[-1] = np.arange(len(numbers)), -1
        picture.seen[:] = rows[picture.seen]
        parts = np.split(numbers, np.searchsorted(numbers, first[1:-1]))
        return np.concatenate([part.each[own - n] for part, own, n in zip(self._parts, parts, first, strict=False)])
