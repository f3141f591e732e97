"""A whole page: from its lines to one sample for each pool, under names that stay the same."""
