"""What a finding is, its remedies, and how it is worded."""
