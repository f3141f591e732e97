"""Everything that can block: threads, name look-ups, files and secrets."""
