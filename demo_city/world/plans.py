"""The ten styles of cities."""

from demo_city.seeds import random_for
from demo_city.world.planning import Plan, varied

# fmt: off
PERIMETER = Plan(
    name="perimeter", spacing=((60, 105), (70, 120)), swing=(70, 160), shear=(-0.22, 0.22), roadway=(2.8, 5.8),
    pavement=(2.2, 5), slope=(0, 0.06), road={"asphalt": 4, "setts": 2, "cobbles": 0.7},
    paving={"slabs": 4, "setts": 1, "asphalt": 1, "concrete": 0.5}, yard={"concrete": 1, "slabs": 1, "grass": 1},
    marked=(0.2, 0.9), blocks={"rows": 12, "square": 1, "park": 1.2}, widths=(9, 26), depth=(10, 14), setback=(0, 0),
    storeys=(3, 7), ground_height=(3.4, 4.8), storey_height=(2.9, 3.8), uses={"flats": 5, "shop": 5, "office": 1.2},
    roofs={"gable": 4, "mansard": 3, "flat": 2, "hip": 1}, arcade=(0, 0.15),
    trees={"round": 3, "tall": 2, "broad": 3}, tree_step=(7, 14), tree_share=(0.1, 0.9), tree_height=(7, 17),
    green=(0.2, 0.9), lamps={"post": 3, "lantern": 2, "arm": 2, "hung": 1},
    things={
        "bin": 2, "bench": 1.2, "bollard": 6, "bikes": 2.5, "sign": 3, "box": 1.5, "column": 0.6, "planter": 1.5,
        "terrace": 2, "scooter": 1, "stop": 0.5, "kiosk": 0.3, "pillar": 0.6, "phone": 0.2, "fountain": 0.1,
    },
    parked=(0.2, 0.9), tram=0.3, people=(2, 8),
)

TERRACES = Plan(
    name="terraces", spacing=((50, 80), (90, 170)), roadway=(2.6, 3.9), pavement=(1.5, 2.6), slope=(0.01, 0.11),
    road={"asphalt": 6, "setts": 0.6}, paving={"slabs": 3, "asphalt": 2, "bricks": 0.5},
    yard={"grass": 3, "concrete": 1}, blocks={"rows": 14, "park": 1, "estate": 0.8}, widths=(4.6, 7.5), depth=(8, 11),
    setback=(0, 4), storeys=(2, 4), ground_height=(2.9, 3.6), storey_height=(2.6, 3.2),
    uses={"home": 9, "shop": 1.2, "flats": 0.6}, roofs={"gable": 8, "hip": 0.6, "flat": 0.5, "mansard": 0.6},
    front={"": 1, "wall": 3, "hedge": 2, "rail": 1.5, "fence": 0.6}, rows=(4, 14),
    trees={"round": 3, "tall": 1, "broad": 1}, tree_share=(0, 0.5), tree_height=(4, 11), green=(0.4, 1.6),
    lamps={"post": 3, "arm": 3, "lantern": 0.7},
    things={
        "bin": 1, "wheelie": 5, "sign": 2.5, "box": 1.2, "pillar": 0.7, "bollard": 1.5, "phone": 0.2, "stop": 0.5,
    },
    parked=(0.4, 0.95), wires=0.25, people=(0.5, 3), skyline=(2, 5),
)

GRID = Plan(
    name="grid", spacing=((60, 95), (90, 150)), bends=(0, 0), arc=(0, 0), shear=(-0.04, 0.04), merged=(0, 0.15),
    roadway=(3.6, 7.2), pavement=(2.6, 4.6), verge=(0, 1.2), slope=(0, 0.14), road={"asphalt": 6, "concrete": 1},
    paving={"concrete": 5, "bricks": 0.6, "slabs": 0.6}, yard={"concrete": 2, "asphalt": 2, "grass": 1},
    marked=(0.6, 1), blocks={"rows": 11, "parking": 1.4, "park": 0.7, "estate": 1.2}, widths=(6, 24), depth=(12, 20),
    gap=(0, 1.6), setback=(0, 1.6), storeys=(1, 6), ground_height=(3.4, 5), storey_height=(3, 3.9),
    uses={"shop": 5, "flats": 4, "office": 2, "home": 1.5, "warehouse": 0.6},
    roofs={"flat": 8, "gable": 1.2, "hip": 0.5, "mansard": 0.3}, front={"": 6, "planters": 1, "rail": 0.5},
    rows=(1, 3), trees={"round": 3, "tall": 1.5, "broad": 2, "palm": 1.2}, tree_share=(0.2, 0.9), tree_height=(5, 13),
    green=(0.1, 0.5), lamps={"arm": 5, "post": 1, "lantern": 0.8},
    things={
        "hydrant": 1.6, "bin": 2, "meter": 6, "sign": 4, "box": 2, "pole": 2.2, "newsbox": 1.5, "bench": 0.6,
        "bikes": 0.8, "stop": 0.6, "planter": 1, "bollard": 1, "scooter": 1,
    },
    parked=(0.3, 0.9), vehicles={"saloon": 4, "hatch": 1.5, "suv": 4, "van": 1, "pickup": 2}, wires=0.5,
    traffic=(1, 4),
)

TOWERS = Plan(
    name="towers", painted=0.1, spacing=((70, 115), (70, 125)), bends=(0, 6), swing=(150, 260), arc=(-0.002, 0.002),
    roadway=(4.2, 8.5), pavement=(3.5, 7), verge=(0, 2), slope=(0, 0.04), road={"asphalt": 5, "concrete": 1},
    paving={"slabs": 4, "concrete": 2, "bricks": 1}, yard={"slabs": 3, "concrete": 2, "grass": 1.5}, marked=(0.8, 1),
    blocks={"estate": 9, "rows": 2.5, "park": 1, "square": 1.4}, widths=(20, 40), depth=(16, 26), gap=(0, 8),
    setback=(0, 7), storeys=(5, 26), ground_height=(4.2, 6.5), storey_height=(3.1, 4.2),
    uses={"tower": 6, "office": 3, "flats": 2}, roofs={"flat": 1}, front={"": 3, "planters": 2, "hedge": 1},
    arcade=(0, 0.4), rows=(1, 1), trees={"round": 3, "tall": 2, "palm": 1, "broad": 1}, tree_step=(7, 13),
    tree_share=(0.4, 1), tree_height=(6, 13), green=(0.4, 1.4), lamps={"arm": 4, "post": 2, "globe": 1},
    things={
        "bin": 2, "bench": 2, "bollard": 6, "planter": 4, "sign": 3, "box": 1, "hydrant": 0.7, "bikes": 2,
        "stop": 0.8, "kiosk": 0.4, "billboard": 0.5, "flags": 0.6, "statue": 0.2, "scooter": 1.5,
    },
    parked=(0, 0.4), traffic=(1.5, 5), people=(3, 10), skyline=(10, 32),
)

SUBURB = Plan(
    name="suburb", painted=0.12, spacing=((60, 90), (80, 140)), bends=(2, 11), arc=(-0.005, 0.005), shear=(-0.2, 0.2),
    merged=(0.1, 0.45), roadway=(2.6, 4), pavement=(1.2, 2), verge=(0, 2.4), slope=(0, 0.1),
    road={"asphalt": 6, "concrete": 0.6, "gravel": 0.4},
    paving={"concrete": 3, "asphalt": 1.5, "slabs": 1, "gravel": 0.4}, yard={"grass": 1}, marked=(0, 0.35),
    blocks={"rows": 11, "park": 1.2, "wood": 3, "estate": 1}, widths=(9, 18), depth=(8, 13), gap=(3, 10),
    setback=(3, 11), storeys=(1, 2.6), ground_height=(2.7, 3.3), storey_height=(2.6, 3), uses={"home": 1},
    roofs={"gable": 5, "hip": 4, "flat": 0.6, "shed": 0.4, "mansard": 0.4},
    front={"": 4, "hedge": 4, "fence": 3, "wall": 1.5, "rail": 0.4}, rows=(1, 3),
    trees={"broad": 3, "round": 3, "tall": 1, "conifer": 1.5, "palm": 0.8}, tree_step=(6, 16), tree_share=(0.2, 1),
    tree_height=(6, 18), green=(0.5, 2.2), lamps={"post": 3, "arm": 3, "pole": 2}, lamp_step=(28, 46),
    things={
        "mailbox": 3, "hydrant": 0.8, "wheelie": 3, "sign": 1.5, "box": 1, "bench": 0.2, "pole": 1.5, "hoop": 0.3,
    },
    parked=(0.05, 0.4), wires=0.5, traffic=(0.2, 1), people=(0.2, 2), skyline=(1, 3),
)

OLD_TOWN = Plan(
    name="old_town", spacing=((34, 62), (36, 70)), bends=(2, 5.5), swing=(40, 90), arc=(-0.005, 0.005),
    shear=(-0.3, 0.3), merged=(0.1, 0.45), roadway=(1.4, 3), pavement=(0.5, 1.8), kerb=(0, 0.1), slope=(0, 0.09),
    road={"cobbles": 4, "setts": 4, "slabs": 1, "bricks": 0.6, "asphalt": 0.6},
    paving={"slabs": 3, "cobbles": 2, "setts": 2}, yard={"cobbles": 1, "grass": 2, "slabs": 1}, marked=(0, 0),
    blocks={"rows": 14, "square": 1.8, "park": 0.5}, widths=(4.5, 14), depth=(7, 11), gap=(0, 0.4), storeys=(1, 4.4),
    ground_height=(2.5, 3.6), storey_height=(2.3, 3.1), uses={"home": 6, "shop": 3, "flats": 1.5},
    roofs={"gable": 8, "hip": 1.5, "mansard": 1.2}, front={"": 4, "plants": 3}, arcade=(0, 0.3), rows=(1, 3),
    trees={"round": 3, "broad": 2, "tall": 0.6}, tree_step=(10, 22), tree_share=(0, 0.3), tree_height=(4, 11),
    green=(0.4, 1.6), lamps={"wall": 4, "lantern": 3, "hung": 1.5}, lamp_step=(16, 30),
    things={
        "bollard": 5, "planter": 3, "bench": 0.8, "bikes": 2.5, "terrace": 3, "bin": 0.8, "fountain": 0.4,
        "sign": 1.2, "barrel": 1, "statue": 0.3, "menu": 1,
    },
    parked=(0, 0.35), traffic=(0, 0.8), people=(1, 8), skyline=(2, 5),
)

INDUSTRIAL = Plan(
    name="industrial", painted=0.3, spacing=((80, 140), (90, 160)), roadway=(3.2, 5.4), pavement=(1.2, 3), verge=(0,
    2.5), slope=(0, 0.04), road={"asphalt": 5, "concrete": 2, "setts": 0.8},
    paving={"asphalt": 3, "concrete": 3, "gravel": 1, "slabs": 0.5},
    yard={"asphalt": 2, "concrete": 3, "gravel": 2, "grass": 0.6},
    blocks={"rows": 4, "estate": 9, "parking": 1.2, "wood": 2}, widths=(14, 42), depth=(14, 26), gap=(0, 9),
    setback=(0, 9), storeys=(1, 4.5), ground_height=(3.8, 7), storey_height=(3.4, 4.6),
    uses={"warehouse": 5, "hall": 5, "office": 1},
    roofs={"flat": 3, "gable": 3, "sawtooth": 2, "barrel": 1.2, "shed": 1},
    front={"": 2, "mesh": 4, "wall": 2, "rail": 0.5, "hedge": 0.5}, rows=(1, 3),
    trees={"tall": 2, "broad": 2, "round": 1}, tree_share=(0, 0.6), tree_height=(6, 15), green=(0.1, 1.2),
    lamps={"arm": 5, "pole": 2, "wall": 1}, lamp_step=(30, 48),
    things={
        "container": 2, "pallets": 2, "sign": 1.5, "box": 1.5, "bollard": 1.5, "skip": 0.8, "hydrant": 0.5,
        "pole": 2, "barrel": 1.5, "barrier": 2, "billboard": 0.3, "tank": 0.5,
    },
    parked=(0.05, 0.5), vehicles={"van": 4, "truck": 3, "saloon": 2, "hatch": 2, "pickup": 1}, wires=0.6,
    traffic=(0.3, 2), people=(0.1, 1), skyline=(2, 6),
)

WATERFRONT = Plan(
    name="waterfront", spacing=((60, 100), (60, 110)), arc=(-0.002, 0.002), roadway=(2.6, 5), pavement=(2.4, 6.5),
    kerb=(0.03, 0.14), slope=(0, 0.015), road={"setts": 2, "asphalt": 3, "slabs": 1, "bricks": 1},
    paving={"slabs": 3, "setts": 1, "bricks": 1}, yard={"concrete": 1, "slabs": 1.5, "grass": 1},
    blocks={"rows": 6, "estate": 3, "square": 1, "park": 0.7, "basin": 2.2}, widths=(8, 24), depth=(11, 17),
    gap=(0, 5), setback=(0, 2), storeys=(3, 7), ground_height=(3.2, 4.6), storey_height=(2.8, 3.6),
    uses={"warehouse": 3, "flats": 4, "office": 1.5, "shop": 2},
    roofs={"gable": 3, "flat": 3, "hip": 1, "barrel": 0.4, "shed": 0.5}, front={"": 4, "planters": 1.5, "rail": 1},
    arcade=(0, 0.2), rows=(1, 4), trees={"round": 2, "tall": 2, "palm": 1, "broad": 1}, tree_share=(0.1, 0.7),
    tree_height=(4, 10), green=(0.1, 0.7), lamps={"globe": 2, "post": 3, "lantern": 2, "arm": 1}, lamp_step=(16, 30),
    things={
        "bollard": 7, "bench": 3, "bin": 1.5, "planter": 2, "sign": 1.5, "bikes": 2, "kiosk": 0.6, "statue": 0.2,
        "flags": 0.7, "terrace": 1.5, "barrel": 0.7, "stop": 0.3, "scooter": 0.8,
    },
    parked=(0, 0.5), tram=0.2, people=(1, 7), skyline=(3, 10), water=True,
)

MARKET = Plan(
    name="market", painted=0.35, spacing=((45, 80), (50, 95)), swing=(60, 140), roadway=(2.2, 4.6), pavement=(1.5, 3.6),
    kerb=(0, 0.2), road={"asphalt": 3, "setts": 1.5, "concrete": 1.5, "slabs": 1, "soil": 0.7},
    paving={"slabs": 3, "concrete": 2, "bricks": 1, "soil": 0.6}, yard={"concrete": 2, "soil": 1, "gravel": 0.6},
    marked=(0, 0.4), blocks={"rows": 10, "square": 2.5, "park": 0.6, "wood": 1.2}, widths=(4, 13), depth=(8, 13),
    gap=(0, 0.6), storeys=(1, 3.6), ground_height=(3, 4.4), storey_height=(2.7, 3.4),
    uses={"shop": 8, "home": 1, "flats": 1, "hall": 0.4}, roofs={"flat": 4, "gable": 2.5, "hip": 1.5, "shed": 1},
    arcade=(0.2, 0.9), rows=(1, 6), trees={"broad": 2, "round": 2, "palm": 2}, tree_step=(10, 22),
    tree_share=(0, 0.6), tree_height=(5, 15), green=(0.2, 1.4), lamps={"post": 2, "arm": 2, "hung": 1.5, "pole": 1.5},
    things={
        "stall": 5, "crates": 4, "parasol": 2, "bench": 0.8, "bin": 1.5, "sign": 1.5, "pole": 1.5, "barrel": 1,
        "motorbike": 4, "planter": 1.5, "kiosk": 0.7, "box": 0.8, "menu": 1.5, "bikes": 1, "statue": 0.1,
    },
    parked=(0.05, 0.5), vehicles={"hatch": 3, "van": 2, "saloon": 2, "pickup": 1, "rickshaw": 1.5}, wires=0.7,
    people=(3, 14), skyline=(2, 5),
)

HIGH_STREET = Plan(
    name="high_street", painted=0.12, spacing=((40, 75), (48, 95)), bends=(0, 3), swing=(60, 140), arc=(-0.002, 0.002),
    roadway=(1.8, 4.4), pavement=(0.9, 3.4), kerb=(0.02, 0.16), road={"asphalt": 6, "concrete": 0.6, "bricks": 0.5},
    paving={"slabs": 3, "asphalt": 2, "bricks": 2, "concrete": 1}, yard={"concrete": 3, "asphalt": 1},
    marked=(0.4, 1), blocks={"rows": 15, "parking": 0.6, "park": 0.4}, widths=(3.8, 11), depth=(9, 14), gap=(0, 0.5),
    storeys=(2, 9), ground_height=(2.9, 3.9), storey_height=(2.7, 3.3), uses={"shop": 8, "office": 1, "flats": 2},
    roofs={"flat": 8, "shed": 0.6, "gable": 0.7}, arcade=(0, 0.5), rows=(1, 1),
    trees={"round": 3, "tall": 1, "palm": 0.5}, tree_share=(0, 0.5), tree_height=(3.5, 8), green=(0, 0.4),
    lamps={"arm": 3, "post": 2, "pole": 2}, lamp_step=(18, 32),
    things={
        "pole": 3.5, "vending": 2.5, "sign": 3, "motorbike": 5, "bikes": 3, "menu": 3, "barrier": 2, "box": 1.5,
        "crates": 2, "planter": 2, "bollard": 3, "bin": 0.8, "phone": 0.3, "banners": 2, "stop": 0.3,
    },
    parked=(0, 0.5), vehicles={"hatch": 4, "van": 3, "saloon": 2, "truck": 0.4}, wires=0.9, traffic=(0.5, 3),
    people=(3, 14), skyline=(4, 16),
)
# fmt: on

_ALL = (PERIMETER, TERRACES, GRID, TOWERS, SUBURB, OLD_TOWN, INDUSTRIAL, WATERFRONT, MARKET, HIGH_STREET)
PLANS = {plan.name: plan for plan in _ALL}


def of_city(seed: int, style: str) -> Plan:
    """The plan of one city of a style."""
    return varied(PLANS[style], random_for(seed, style, "city"))
