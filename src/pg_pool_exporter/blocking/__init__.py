"""Everything that can block: threads, name resolution, files and secrets."""
