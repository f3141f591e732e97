"""The arithmetic that proves leaked connections from readings. Pure."""
