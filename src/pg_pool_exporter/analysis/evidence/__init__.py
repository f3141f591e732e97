"""What proves that connections are leaked: pure arithmetic over readings."""
