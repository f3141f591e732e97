"""One held connection to a server or a bouncer's console."""
