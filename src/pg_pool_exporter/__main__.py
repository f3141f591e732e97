"""The command `pg-pool-exporter`, as far as it runs without the daemon's packages."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command with this process's arguments; the exit code."""
    try:
        from pg_pool_exporter.commands import main as cli
    except ImportError as error:
        if (error.name or "").partition(".")[0] == __package__:
            raise
        # Some libraries tell over several lines why they can't be imported.
        reason = str(error).partition("\n")[0]
        sys.stderr.write(
            f"pg-pool-exporter: {reason}; the command needs the daemon's packages: "
            'pip install "pg-pool-exporter[daemon]"\n'
        )
        return 2
    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
