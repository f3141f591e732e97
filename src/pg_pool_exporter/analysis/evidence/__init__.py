"""What proves that connections are held: pure arithmetic over readings."""
