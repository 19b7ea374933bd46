"""What distinguishes the ten styles: materials, colours, windows and signs of their houses."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """The choices of a style.

    materials: of walls, with weights
    """

    materials: tuple[tuple[str, float], ...]


STYLES = (
    "perimeter", "terraces", "grid", "towers", "suburb", "old_town", "industrial", "waterfront", "market", "high_street",
)  # fmt: skip
LOOKS = {name: Look((("plaster", 1.0),)) for name in STYLES}
