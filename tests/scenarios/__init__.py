"""Workloads whose truth is known: what is wrong in them, and from when on.

`world` has pools and a server on a virtual clock, `matrix` the workloads, `exporter` reads the
world as the exporter reads a real one, `verdict` compares what comes out with the truth.
"""
