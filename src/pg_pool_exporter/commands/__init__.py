"""The commands of pg-pool-exporter."""
