"""What is wrong, and why."""
