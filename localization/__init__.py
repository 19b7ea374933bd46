"""From neighbours to a position, its radius and its confidence."""
