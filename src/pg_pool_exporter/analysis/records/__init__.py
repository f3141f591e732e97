"""Records of pools, applications, servers and bouncers, from which all that is shown is made."""
