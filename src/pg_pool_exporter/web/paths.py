"""Paths that the web server answers. No imports here: `--help` needs these."""

HEALTHY_PATH = "/-/healthy"
READY_PATH = "/-/ready"
RELOAD_PATH = "/-/reload"
PROBE_PATH = "/probe"
FINDINGS_PATH = "/api/v1/findings"

RUNBOOKS = "https://runbooks.example/pg-pool-exporter"
"""Address of the runbooks where no option names another."""
