"""Which pools lead to which server, and the readings of both sides, in bounded memory."""
