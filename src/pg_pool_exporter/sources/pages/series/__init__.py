"""One line of a page: which series it is, of which pool, and what its value means."""
