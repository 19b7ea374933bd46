"""What a plan of cities is, and how the cities of one style differ."""

from dataclasses import dataclass, field, fields, replace

import numpy as np

Range = tuple[float, float]
Weights = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A style of cities, or one city of it. Pairs are ranges, in metres unless said otherwise; dicts are weights.

    A city keeps a narrow part of each range, and prefers some of the choices: see `varied`.
    """

    name: str
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
    marked: Range = (0.1, 0.6)  # share of the streets with lines on them
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
    # between pavement and building: "" hedge fence wall rail mesh plants planters
    front: Weights = field(default_factory=lambda: {"": 1})
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
    things: Weights = field(default_factory=dict)  # kind: how many on 100 m of street
    parked: Range = (0.1, 0.6)  # share of the places at the kerb that are taken
    vehicles: Weights = field(default_factory=lambda: {"saloon": 3, "hatch": 4, "suv": 3, "van": 1})
    wires: float = 0.0  # share of the streets
    tram: float = 0.0  # share of the cities
    traffic: Range = (0.5, 2.5)  # vehicles on 100 m
    people: Range = (1.0, 6.0)  # on 100 m
    skyline: Range = (3, 7)  # storeys of what rises behind
    water: bool = False  # along one side


# how far the cities of a style differ in their preferences
_SPREADS = {"blocks": 0.4, "things": 0.9, "uses": 0.6, "vehicles": 0.5}


def varied(plan: Plan, rng: np.random.Generator) -> Plan:
    """One city of a style: narrower ranges than its style's, and choices weighted anew."""
    changes = {}
    for each in fields(plan):
        value = getattr(plan, each.name)
        if isinstance(value, dict):
            changes[each.name] = _preferring(rng, value, _SPREADS.get(each.name, 1.3))
        elif each.name == "spacing":
            changes[each.name] = tuple(_narrowed(rng, pair) for pair in value)
        elif isinstance(value, tuple):
            changes[each.name] = _narrowed(rng, value)
    return replace(plan, **changes)


def choose(rng: np.random.Generator, weights: Weights) -> str:
    """One of the keys, by their weights."""
    total = rng.random() * sum(weights.values())
    for key, weight in weights.items():
        total -= weight
        if total < 0:
            return key
    return next(reversed(weights))


def _narrowed(rng: np.random.Generator, pair: Range) -> Range:
    low, high = pair
    width = (high - low) * rng.uniform(0.3, 0.6)
    start = low + (high - low - width) * rng.random()
    return (start, start + width)


def _preferring(rng: np.random.Generator, weights: Weights, spread: float) -> Weights:
    return {key: float(weight * np.exp(rng.normal(0, spread))) for key, weight in weights.items()}
