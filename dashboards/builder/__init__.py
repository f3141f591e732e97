"""Grafana dashboards, built from the catalogue of metrics: `make dashboards` writes their JSON."""
