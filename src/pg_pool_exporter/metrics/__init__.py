"""Names, series and text formats of all metrics. The standard library only."""
