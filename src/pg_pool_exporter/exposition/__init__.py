"""The store to pages of metrics."""
