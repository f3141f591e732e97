"""HTTP requests for metrics pages and target lists, bounded in all that the server decides."""
