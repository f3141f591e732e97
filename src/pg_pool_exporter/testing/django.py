"""Connections that Django keeps on purpose between the tests of a thread."""

from __future__ import annotations

import sys
from typing import Any


def kept_by_django() -> set[int]:
    """The identities of the driver's connections that Django holds for this thread.

    With a pool (`OPTIONS: {"pool": …}`) Django has a connection per thread checked out from its
    first query to the end of a request, and in a test, which has no such end, from test to test.
    """
    module: Any = sys.modules.get("django.db")
    apps = getattr(sys.modules.get("django.apps"), "apps", None)
    if module is None or not getattr(apps, "ready", False):
        return set()
    wrappers = module.connections.all(initialized_only=True)
    return {id(one.connection) for one in wrappers if one.connection is not None}
