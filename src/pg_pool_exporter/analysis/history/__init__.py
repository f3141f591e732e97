"""The last hour of pools and servers, and a day of demand, in bounded memory."""
