"""How a server writes its log: settings, prefix, and where the parts of a record stand."""
