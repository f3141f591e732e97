"""Runs any command with all its pools instrumented, without a change of its code.

    PG_POOL_EXPORTER_APP=orders python -m pg_pool_exporter.client.auto gunicorn shop:app

Python runs a module named `sitecustomize` as it starts, the first on its path. The command, and
each process that it starts, gets a path with our `sitecustomize` first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_SWITCH = "PG_POOL_EXPORTER_INSTRUMENT_ALL"
_PATH = "PYTHONPATH"
_USAGE = """\
usage: python -m pg_pool_exporter.client.auto COMMAND [ARGUMENT...]

Runs the command, a Python program, with each of its connection pools instrumented. Without a
command it prints the environment that does so, for example for a service's file.
"""


def environment(current: Mapping[str, str]) -> dict[str, str]:
    """The variables that instrument a Python program, made of its environment."""
    ours = str(Path(__file__).parent.with_name("startup"))
    path = current.get(_PATH)
    # An empty entry is the working directory; an empty path has none.
    others = [entry for entry in path.split(os.pathsep) if entry != ours] if path else []
    return {_SWITCH: current.get(_SWITCH) or "1", _PATH: os.pathsep.join([ours, *others])}


def main(arguments: Sequence[str]) -> int:
    """Become the command. Returns an exit status where that isn't possible."""
    wanted = environment(os.environ)
    if not arguments:
        sys.stdout.writelines(f"{name}={value}\n" for name, value in wanted.items())
        return 0
    if arguments[0].startswith("-"):
        sys.stdout.write(_USAGE)
        return 0 if arguments[0] in ("-h", "--help") else 2
    try:
        os.execvpe(arguments[0], list(arguments), {**os.environ, **wanted})  # noqa: S606 - its purpose
    except OSError as error:
        sys.stderr.write(
            f"{arguments[0]}: {error.strerror}; give the whole command, such as: python app.py\n"
        )
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
