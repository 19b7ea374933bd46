"""What a plan of cities is, and how the cities of one style differ."""

from dataclasses import dataclass, fields

import numpy as np

from demo_city.seeds import random_for, weights
from demo_city.styles import style

Range = tuple[float, float]
Weights = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One city, as its style's table "plan" says. Pairs are ranges, in metres unless said otherwise; Weights are texts
    such as "asphalt 4 setts 2" there. A city keeps a narrow part of each range, and prefers some of the choices.
    """

    name: str  # of the style
    # streets
    spacing: tuple[Range, Range]  # between parallel streets, in the two directions
    bends: Range = (0, 5)  # how far streets swing out
    swing: Range = (90, 190)  # over which length they do
    arc: Range = (-0.003, 0.003)  # curvature of the whole, 1/m: rings and crescents
    shear: Range = (-0.15, 0.15)  # by which crossings differ from right angles, tangent
    merged: Range = (0.0, 0.3)  # share of the blocks that take the next one in
    roadway: Range  # half width of the carriageway
    pavement: Range
    kerb: Range = (0.08, 0.16)  # height
    painted: float = 0.0  # share of the kerbs that are painted black and white
    verge: Range = (0.0, 0.0)  # of grass between kerb and pavement; below 0.5: none
    slope: Range = (0.0, 0.05)  # steepest, share
    road: Weights  # kinds of ground
    paving: Weights
    yard: Weights
    outskirts: str = "concrete"
    marked: Range = (0.1, 0.6)  # share of the streets with lines on them
    yellow: float = 0.12  # share of those whose centre line is yellow
    # what is built
    blocks: Weights  # rows estate park square parking wood basin
    widths: Range  # of a building
    depth: Range
    gap: Range = (0.0, 0.0)
    setback: Range = (0.0, 0.5)
    storeys: Range  # count
    ground_height: Range
    storey_height: Range
    uses: Weights
    roofs: Weights
    landmark: str = "hall"  # on squares: church or hall
    front: Weights = "none 1"  # between pavement and building: none hedge fence wall rail mesh plants planters
    drives: bool = False  # whether cars stand beside the houses
    arcade: Range = (0.0, 0.0)  # share of the blocks with an arcade
    rows: Range = (1, 2)  # buildings in a row that are of one make
    # what stands about
    trees: Weights  # kinds along the streets
    tree_step: Range = (8, 17)
    tree_share: Range  # of the streets with trees
    tree_height: Range
    green: Range  # trees and bushes in a yard of 100 m2
    lamps: Weights
    lamp_step: Range = (22, 36)
    signal: str = "signal"  # the kind of traffic lights
    things: Weights  # see things.toml: how many on 100 m of street
    square: Weights = """statue 1 fountain 1 stall 3 terrace 5 bench 4 planter 3 bikes 2 bollard 3 kiosk 1 column 1
        flags 0.5 parasol 1"""
    parked: Range = (0.1, 0.6)  # share of the places at the kerb that are taken
    vehicles: Weights = "saloon 3 hatch 4 suv 3 van 1"
    wires: float = 0.0  # share of the streets
    traffic: Range = (0.5, 2.5)  # vehicles on 100 m
    people: Range = (1.0, 6.0)  # on 100 m
    skyline: Range = (3, 7)  # storeys of what rises behind
    water: bool = False  # along one side


# how far the cities of a style differ in their preferences, where it is not 1.3
_SPREADS = {"blocks": 0.4, "things": 0.9, "uses": 0.6, "vehicles": 0.5}


def of_city(seed: int, name: str) -> Plan:
    """The plan of one city of a style: narrower ranges than its style's, and choices with weights of their own."""
    rng, table, values = random_for(seed, name, "city"), style(name)["plan"], {"name": name}
    for each in fields(Plan)[1:]:
        value = table.get(each.name, each.default)
        if each.type == Weights:
            spread = _SPREADS.get(each.name, 1.3)
            value = {kind: w * float(np.exp(rng.normal(0, spread))) for kind, w in weights(value).items()}
        elif each.name == "spacing":
            value = tuple(_narrowed(rng, pair) for pair in value)
        elif each.type == Range:
            value = _narrowed(rng, value)
        values[each.name] = value
    return Plan(**values)


def _narrowed(rng: np.random.Generator, pair: Range) -> Range:
    low, high = pair
    width = (high - low) * rng.uniform(0.3, 0.6)
    start = low + (high - low - width) * rng.random()
    return (start, start + width)
