"""Other users of the host, for tests that run as root."""

from __future__ import annotations

from pathlib import Path


def let_others_enter(directory: Path) -> None:
    """Let every user read `directory` and pass the directories above it.

    How many of those pytest has closed depends on whether it runs in parallel.
    """
    directory.chmod(0o755)
    for above in directory.parents:
        mode = above.stat().st_mode
        if not mode & 0o001:
            above.chmod(mode | 0o055)
