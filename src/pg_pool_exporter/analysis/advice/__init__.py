"""How large each pool should be: from its demand to a size that its server has room for."""
