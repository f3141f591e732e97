"""The command `pg-pool-exporter`.

Each command is a module of `commands` with a function `main`, imported when it is asked for:
`--help` and `--version` need the standard library only.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from pg_pool_exporter.commands.command_line import parse
from pg_pool_exporter.commands.options import PROGRAM, UsageError
from pg_pool_exporter.commands.output import FAILURE, INTERRUPTED, WRONG, complain


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments`, by default this process's; the exit code.

    0: done; 1: failed; 2: the command line, the environment or the configuration is wrong, with
    all mistakes on standard error, or a package is missing; 130: interrupted. `doctor` has its own.
    """
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments, os.environ)
        if options.command == "run":
            # Until the exporter can reload: by default the signal ends the process.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        module = options.command.replace("-", "_")
        code: int = import_module(f"{__package__}.commands.{module}").main(options)
    except UsageError as error:
        complain(f"{PROGRAM}: {error}\nSee {PROGRAM} [COMMAND] --help.")
        return WRONG
    except ImportError as error:
        return _report_missing_package(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has closed the pipe: the rest of the buffer is dropped.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except Exception as error:
        expected = _report_expected(error)
        if expected is None:
            raise
        return expected
    return code


def _report_missing_package(error: ImportError) -> int:
    if (error.name or "").partition(".")[0] == __package__:
        raise error
    # Some libraries explain over several lines why they can't be imported.
    reason = str(error).partition("\n")[0]
    complain(
        f"{PROGRAM}: this command needs the exporter's packages: "
        f'pip install "pg-pool-exporter[daemon]" ({reason})'
    )
    return WRONG


def _report_expected(error: Exception) -> int | None:
    """The exit code after a message about `error`; None when it is a fault of ours."""
    # Imported only now: these modules need the exporter's packages.
    from pg_pool_exporter.blocking.threads import NoThreadError
    from pg_pool_exporter.config import ConfigError
    from pg_pool_exporter.web.server import ListenError

    if isinstance(error, ConfigError):
        # Its lines begin with file and line, so that editors can jump there.
        complain(str(error))
        return WRONG
    if isinstance(error, ListenError | NoThreadError):
        complain(f"{PROGRAM}: {error}")
        return FAILURE
    return None


if __name__ == "__main__":
    sys.exit(main())
