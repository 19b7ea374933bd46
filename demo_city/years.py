"""What changes on houses from year to year."""

from functools import lru_cache

from demo_city.seeds import random_for

FIRST_YEAR = 2010
# chances per year that a shop changes hands, a front is repainted, and a wall's graffiti change
SHOP_CHANGE, REPAINT, GRAFFITI_CHANGE = 0.13, 0.03, 0.2


@lru_cache(1 << 16)
def generation(key: int, what: str, year: int, chance: float) -> int:
    """Counts how often something of a building has changed from FIRST_YEAR to `year`.

    key: of the building
    what: what may change
    year: until when
    chance: of a change, per year
    """
    return int((random_for(key, what).random(60)[: max(year - FIRST_YEAR, 0)] < chance).sum())
