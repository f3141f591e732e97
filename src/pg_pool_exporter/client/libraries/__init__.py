"""One adapter a pool library."""
