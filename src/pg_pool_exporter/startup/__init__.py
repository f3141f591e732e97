"""A directory for Python's path whose `sitecustomize` instruments the pools of any application."""
