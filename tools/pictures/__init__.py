"""The pictures of the documentation: `make pictures` makes all of them again."""
