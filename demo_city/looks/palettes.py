"""What distinguishes the ten styles: materials, colours, windows and signs of their houses.

Most real facades are of low saturation: whites, greys, ochres and brick. Vivid paint is left to doors, signs and goods.
"""

from dataclasses import dataclass, field

from demo_city.looks.colours import Colour, Weights, colours

WHITE = colours("e8e4da dedbd2 ecebe6 d6d2c8 e4e0d0 d0cec8 dcd8d0 f0eee8")
OCHRE = colours("ddd0b4 d8c49c e3d3a8 cfc0a4 d6b98c c8a878 d8aa58 deb868 dcc8b2 cba66a e6dcc4 d0b894")
PASTEL = colours("c9b8ae bfc4b4 b4bcbe c8b4a4 d4c0b4 b8b0a4 d8c8bc a9b4b4 c6ccb8 ccb4a4 c4bcb4 b0b8a0")
GREY = colours("c8c6c0 b9b6b0 a8a49e bcbab4 9a9792 d0ccc4 8e8a86 b2aaa0")
EARTH = colours("b07858 9a6a52 a8705a c99a6a 8e7460 b88a66 a88e74 7e6656")
BRICK = colours("945644 a4664e 864c3e ac7256 98745e 7c584c 9e5e4a 8e5c48 6a4a40 b0705a a07c68 8c5a4c")
STOCK = colours("c0aa86 b09e7c c8b28e a08c74 bea082 ac9472 98866e ccb894")
STONE = colours("c4bca8 b0aaa0 cebfa4 9c9690 baa890 a39a8a d4ccbc 8a847c b4a48a")
CONCRETE = colours("b0aea8 a09e98 c2c0ba 8e8c88 cecbc4 989288 bab4a8")
METAL = colours("b4b8ba 8c9498 6e7880 c8cac6 5a6870 7c8a7a a0a8b0 46586a 6e443c 5e6a5a d2d2ce")
WOOD = colours("e8e6e0 d8d4c8 b8c2c6 c6ccb8 dcd0b0 9a7060 74808a c8b49c a89c88 5e6c62 8a9286 505a66 bfae98 8c4a3c")
CERAMIC = colours("c8c4b8 b0a898 9a8c7c a8b0ac 8c9ca0 d6d2c8 8a6e60 b49a80 e0ded8")
GLASS = colours("8aa0ac 6f8894 9aa8a8 5c7078 7a8c84 a4b0b4 4e5e6c 8c98a4 6a7a70")
TRIM = colours("e6e2d8 d4ccbc c4bcac f0eee8 b4aa9a 9c948a dcd6ca 787068")
DOORS = colours(
    "2c3a34 3a2c26 5a4030 26303e 6a2a28 e0ded6 4a4c4e 1e2022 7a5a3c 34505c 8c8a84 3e5a44 c8c2b2 5e6a6c 86402e 4a3a30"
)
FRAMES = colours("f0f0ec e4e2da ecebe4 d8d6d0 4a423c 3a3e40 5e4636 2e3a34 384454 6a2e28 8a8c8c")
VIVID = colours(
    "94302e 2c5078 2a5a46 c89c3c 2c2c30 34343a 5e3450 b0683a 2c6468 dedad0 5a4232 4a5c3a 7a2c38 2e3e50 b4b0a6 e4e2dc "
    "a8403a 3c4446 6a7076 23364e 8a6a3a d8d2c0"
)
RED_TILES = colours("8c5240 9a5e46 7e4a3c a86a4c 845a48 946050 6e4438")
SLATE = colours("5c5e64 50545a 6a6a6c 46484c 74726e 585450")
SHINGLE = colours("6e665e 5a5650 7c746a 4e4a48 86786a 5e6468")
SHEET = colours("8a8e90 a4a6a4 6a7478 7e5a50 5e7064 b4b2ac 8c8478 6e9484")
FELT = colours("5e5c5a 74706a 8a867e 4c4a4a a09a90")
COLOURS = {
    "plaster": WHITE + OCHRE + PASTEL + GREY, "whitewash": WHITE, "roughcast": WHITE + GREY + OCHRE[:5], "brick": BRICK,
    "stock": STOCK, "ashlar": STONE, "rubble": STONE + EARTH[4:], "concrete": CONCRETE, "panels": METAL + CERAMIC,
    "corrugated": METAL, "clapboard": WOOD, "boards": WOOD, "shingle": WOOD[5:13] + EARTH, "ceramic": CERAMIC,
    "pantiles": RED_TILES, "slates": SLATE, "shingles": SHINGLE, "seams": SHEET, "felt": FELT, "earth": EARTH,
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """The choices of a style; each house draws from them.

    materials: of the walls
    colours: of some materials, where they differ from COLOURS
    roofs: materials of pitched roofs
    windows: kinds of windows, see windows.py
    schemes: how walls are composed, see facades.py, by use; without the use, of "any"
    shop: chance of shops on the ground floor of flats and offices
    fronts: kinds of shop fronts, see shops.py
    scripts: of the signs, see letters.py
    balconies: "none", "iron", "solid", "glass" or "caged"
    grime: how dirty walls are, least and most, 0 to 1
    extras: chances of what else a wall has
    """

    materials: Weights
    windows: Weights
    extras: Weights
    roofs: Weights = "pantiles 1"
    schemes: dict[str, Weights] = field(default_factory=dict)
    shop: float = 0.3
    fronts: Weights = "glazed 3 wood 2 closed 1"
    scripts: Weights = "latin 1"
    balconies: Weights = "none 1"
    grime: tuple[float, float] = (0.2, 0.7)
    colours: dict[str, tuple[Colour, ...]] = field(default_factory=dict)

    def scheme(self, use: str) -> Weights:
        """How walls of houses of a use are composed."""
        return self.schemes.get(use) or _SCHEMES.get(use) or self.schemes.get("any", "punched 1")


_SCHEMES = {"hall": "hall 2 loft 1", "church": "church 1", "warehouse": "shed 3 loft 2",
            "tower": "curtain 3 ribbon 2 frame 2"}  # fmt: skip
LOOKS = {
    "perimeter": Look(
        materials="plaster 7 brick 1.5 stock 0.7 ashlar 1.2 roughcast 1.5 ceramic 0.4",
        windows="cross 4 casement 4 french 2 arched 1 wide 1 single 1",
        extras="bands 0.6 quoins 0.2 pilasters 0.25 cornice 0.8 shutters 0.12 graffiti 0.3 rustic 0.4 ivy 0.06 "
        "pipe 0.8 oriel 0.2 awning 0.35 blade 0.35 posters 0.12 two_tone 0.25",
        roofs="pantiles 5 slates 3 seams 2",
        schemes={"any": "punched 8 frame 0.6", "office": "punched 3 ribbon 2 curtain 1 frame 1"}, shop=0.55,
        fronts="glazed 4 wood 3 cafe 2 closed 1", balconies="none 4 iron 3 solid 1.5 glass 0.5", grime=(0.15, 0.75),
        colours={"ashlar": STONE[:7]},
    ),
    "terraces": Look(
        materials="brick 6 stock 4 whitewash 2 roughcast 2 rubble 0.5",
        windows="sash 6 georgian 3 casement 1.5 arched 0.5",
        extras="bands 0.4 quoins 0.15 cornice 0.5 bay 0.5 steps 0.6 pipe 0.9 ivy 0.1 white_ground 0.25 canopy 0.25 "
        "blade 0.3 awning 0.2 graffiti 0.1",
        roofs="slates 6 pantiles 3", schemes={"any": "punched 1", "office": "punched 2 ribbon 1"}, shop=0.3,
        fronts="wood 6 glazed 2 closed 1", grime=(0.2, 0.8),
        colours={"brick": BRICK + STOCK[:2], "whitewash": WHITE + PASTEL[:6]},
    ),
    "grid": Look(
        materials="brick 5 stock 2 clapboard 2 ashlar 2 concrete 1.5 ceramic 0.8 plaster 1",
        windows="sash 6 wide 2 single 2 casement 1 arched 0.7",
        extras="bands 0.5 quoins 0.15 cornice 0.85 fire_escape 0.4 pipe 0.2 canopy 0.35 awning 0.4 blade 0.35 "
        "air_conditioner 0.3 graffiti 0.25 mural 0.35 steps 0.4 posters 0.15",
        roofs="shingles 4 felt 2",
        schemes={"any": "punched 5 loft 1", "office": "punched 2 ribbon 2 curtain 2 frame 1"}, shop=0.5,
        fronts="glazed 6 closed 1.5 wood 1 cafe 1", balconies="none 6 iron 1", grime=(0.2, 0.8),
    ),
    "towers": Look(
        materials="concrete 4 panels 4 ceramic 1.5 brick 0.8 ashlar 1", windows="wide 4 single 3 slider 2",
        extras="canopy 0.5 bands 0.2 blade 0.1", roofs="felt 3 seams 1",
        schemes={"tower": "curtain 5 ribbon 3 frame 2 loggia 1.5", "any": "frame 2 ribbon 3 curtain 3 loggia 1",
        "flats": "loggia 4 frame 2 punched 2", "home": "punched 1", "office": "curtain 5 ribbon 3 frame 2"},
        shop=0.5, fronts="lobby 5 glazed 4 cafe 1", balconies="glass 3 solid 2 none 3", grime=(0.05, 0.45),
    ),
    "suburb": Look(
        materials="clapboard 5 brick 3 roughcast 3 plaster 2 stock 1 boards 1 shingle 0.7 rubble 0.3",
        windows="picture 3 sash 3 casement 3 georgian 1.5 wide 1.5",
        extras="shutters 0.35 steps 0.5 garage 0.45 canopy 0.4 ivy 0.1 pipe 0.7 two_tone 0.3 bay 0.15",
        roofs="shingles 5 pantiles 3 slates 1", shop=0.06, fronts="glazed 3 wood 2", grime=(0.05, 0.45),
        colours={"plaster": WHITE + OCHRE + PASTEL},
    ),
    "old_town": Look(
        materials="plaster 6 rubble 2 timber 2 brick 1.3 whitewash 2.5 ashlar 1 stock 0.7 earth 0.6",
        windows="casement 5 cross 4 georgian 1 arched 1 single 1 french 1",
        extras="shutters 0.4 ivy 0.22 pipe 0.6 quoins 0.2 cornice 0.35 awning 0.3 blade 0.45 cables 0.35 steps 0.3 "
        "patches 0.5 graffiti 0.15 posters 0.1 dark_ground 0.4",
        roofs="pantiles 7 slates 2", shop=0.45, fronts="wood 4 cafe 3 glazed 1.5 closed 1",
        balconies="none 6 iron 2", grime=(0.25, 0.95),
        colours={"plaster": OCHRE + OCHRE + PASTEL + WHITE + EARTH[:4]},
    ),
    "industrial": Look(
        materials="brick 5 corrugated 4 concrete 2 panels 1.5 stock 1.5 roughcast 1",
        windows="loft 5 wide 2 single 1 barred 1",
        extras="pipe 0.7 graffiti 0.6 mural 0.2 air_conditioner 0.3 cables 0.3 patches 0.5 bricked_up 0.15 "
        "canopy 0.3 posters 0.2",
        roofs="seams 4 slates 2 felt 2",
        schemes={"warehouse": "shed 5 loft 4", "hall": "loft 2 shed 2 hall 1", "any": "loft 3 punched 3 shed 1",
        "office": "ribbon 2 punched 2 loft 2", "home": "punched 1"},
        shop=0.1, fronts="closed 4 glazed 2 open 1", grime=(0.35, 1.0),
    ),
    "waterfront": Look(
        materials="brick 4 plaster 2 clapboard 1.5 boards 2 panels 1.5 ceramic 1 concrete 1 whitewash 2",
        windows="wide 3 french 3 cross 2 casement 2 loft 1 single 1",
        extras="awning 0.5 pipe 0.5 shutters 0.1 blade 0.2 canopy 0.2 two_tone 0.15 graffiti 0.1 "
        "bands 0.2",
        roofs="pantiles 3 seams 3 slates 2 felt 1",
        schemes={"warehouse": "loft 4 shed 2", "any": "punched 3 frame 1 loggia 0.6",
        "flats": "punched 3 frame 2 loggia 2", "office": "curtain 2 ribbon 2 loft 2"},
        shop=0.35, fronts="cafe 4 glazed 3 wood 1", balconies="glass 4 iron 3 none 3", grime=(0.15, 0.65),
    ),
    "market": Look(
        materials="plaster 5 whitewash 3 concrete 3 brick 1 rubble 0.8 earth 1.5 roughcast 1.5",
        windows="barred 3 casement 2 slider 3 louvre 2 arched 1 single 1",
        extras="awning 0.7 cables 0.7 pipe 0.7 air_conditioner 0.6 patches 0.5 board 0.5 blade 0.3 column 0.35 "
        "sunshades 0.5 graffiti 0.12 posters 0.4 two_tone 0.3",
        roofs="pantiles 4 seams 4",
        schemes={"any": "punched 3 loggia 1.2 frame 0.8", "office": "punched 1 ribbon 1 frame 2"}, shop=0.85,
        fronts="open 6 closed 3 glazed 2 cafe 1", scripts="hung 3 latin 4 cursive 3",
        balconies="none 3 iron 2 solid 2", grime=(0.4, 1.0), colours={"plaster": OCHRE + PASTEL + WHITE + EARTH},
    ),
    "high_street": Look(
        materials="ceramic 5 concrete 3 plaster 2.5 panels 1.5 brick 0.7",
        windows="slider 6 barred 1.5 wide 2 single 1",
        extras="air_conditioner 0.9 cables 0.7 pipe 0.9 blade 0.9 board 0.6 awning 0.5 canopy 0.2 posters 0.4 "
        "graffiti 0.1 sunshades 0.25",
        roofs="felt 2 seams 1 pantiles 1",
        schemes={"any": "punched 4 loggia 2.5 ribbon 1.2 frame 0.8", "office": "ribbon 3 curtain 2 punched 1"},
        shop=0.95, fronts="glazed 4 open 3 closed 1.5 cafe 1.5", scripts="dense 5 ring 2 latin 2",
        balconies="none 3 solid 3 caged 2 iron 1", grime=(0.3, 0.95),
    ),
}  # fmt: skip
STYLES = tuple(LOOKS)
