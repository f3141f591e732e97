"""`python -m bench.soak`: whether the exporter and an instrumented process stay the same size."""
