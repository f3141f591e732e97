"""`pg-pool-exporter doctor`: the checklist at a terminal.

Whether a running daemon is asked (`asking`) or the targets are watched for a moment (`watching`),
what comes is the document of `/api/v1/findings`, which `report` reads and `terminal` writes out.
"""
