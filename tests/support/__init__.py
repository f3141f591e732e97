"""Real servers and other things that several tests need."""
