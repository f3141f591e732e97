"""One file a kind of target; each turns what it reads into a `Snapshot`."""
