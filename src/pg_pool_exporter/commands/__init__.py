"""The commands of pg-pool-exporter, and the service, which joins all other rooms."""
