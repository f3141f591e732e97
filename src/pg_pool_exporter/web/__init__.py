"""The HTTP side: what is answered, to whom, and over which sockets."""
