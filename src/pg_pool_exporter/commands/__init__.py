"""The commands of pg-pool-exporter, and the daemon, which joins all other rooms."""
