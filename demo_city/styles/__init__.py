"""The ten styles of cities, a TOML file each: what is built is in its table [plan], what it looks like in [look]."""

import tomllib
from functools import lru_cache
from pathlib import Path

_FOLDER = Path(__file__).parent
STYLES = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@lru_cache(None)
def style(name: str) -> dict:
    """The tables of a style; name: of STYLES."""
    with open(_FOLDER / f"{name}.toml", "rb") as file:
        return tomllib.load(file)
