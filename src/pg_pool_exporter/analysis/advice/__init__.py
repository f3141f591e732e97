"""How large each pool should be: from its demand to a size that there is room for."""
