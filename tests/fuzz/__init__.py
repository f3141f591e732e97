"""Mutated input for everything that reads from outside. `make fuzz`, or `python -m fuzz --help`."""
