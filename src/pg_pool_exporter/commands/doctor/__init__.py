"""`pg-pool-exporter doctor`: the checklist at a terminal.

The document of `/api/v1/findings` comes from a running exporter, or from polling the targets for a
moment (`watching`). `report` reads it, `terminal` formats it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pg_pool_exporter.commands.options import Options


def main(options: Options) -> int:
    """Print the checklist; the exit code. Raises `ConfigError`."""
    # Imported here: with --url most of the package is not needed, and slow to import.
    from pg_pool_exporter.commands.doctor import terminal
    from pg_pool_exporter.commands.doctor.report import Report
    from pg_pool_exporter.commands.findings_document import NO_ANSWER, DocumentError
    from pg_pool_exporter.commands.options import PROGRAM
    from pg_pool_exporter.commands.output import complain, width, write

    try:
        text = _document(options)
        found = Report.read(text)
    except DocumentError as error:
        complain(f"{PROGRAM}: {error}")
        return NO_ANSWER
    if options.json:
        write(f"{text}\n")
    else:
        colours = terminal.has_colours(sys.stdout, os.environ)
        text = terminal.written(found, colours=colours, width=width())
        write(text, styled=colours)
    return found.exit_code


def _document(options: Options) -> str:
    """The document of an exporter, or of polling the targets."""
    if options.url is not None:
        from pg_pool_exporter.commands.asking import ask

        return ask(options.url)
    from pg_pool_exporter.commands import logs
    from pg_pool_exporter.commands.configuration import configuration
    from pg_pool_exporter.commands.doctor.watching import DEFAULT_SECONDS, watch

    # The report has everything else.
    logs.configure("error", "logfmt")
    return asyncio.run(
        watch(
            configuration(options),
            options.duration or DEFAULT_SECONDS,
            options.web_runbook_url,
        )
    )
