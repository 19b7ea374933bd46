"""The styles of cities, each a file with two tables, "plan" (world.plan.Plan) and "look". Copy one to add one."""

import tomllib
from functools import lru_cache
from pathlib import Path

_FOLDER = Path(__file__).parent
STYLES = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@lru_cache
def style(name: str) -> dict:
    """The tables of a style."""
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
