"""How far each file of a log has been read, and what survives a restart."""
