"""A page as Spring Boot's Actuator serves it: 2,000 lines, of which some twenty are of the pool."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

LINES = 2000

_POOL = Path(__file__).parents[1] / "pages/micrometer.txt"
_BOUNDS = tuple(f"{2**step / 1000:.9g}" for step in range(66))
_METHODS = ("GET", "POST", "PUT", "DELETE")


def actuator_page(active: int = 7) -> bytes:
    """The page of a pool with that many active connections."""
    pool = _POOL.read_text().replace(
        'hikaricp_connections_active{pool="HikariPool-1"} 7.0',
        f'hikaricp_connections_active{{pool="HikariPool-1"}} {active}.0',
    )
    lines = pool.splitlines()
    others = list(islice(_others(), LINES - len(lines)))
    # Names come in alphabetical order, so the pool is somewhere in the middle.
    return "\n".join([*others[:500], *lines, *others[500:], ""]).encode()


def _others() -> Iterator[str]:
    """Lines of other things, without an end."""
    number = 0
    while True:
        name = (
            f"http_server_requests_seconds_{number}" if number else "http_server_requests_seconds"
        )
        yield f"# HELP {name} Time of HTTP requests that the server has handled"
        yield f"# TYPE {name} histogram"
        for method in _METHODS:
            labels = (
                f'error="none",exception="none",method="{method}",outcome="SUCCESS",status="200",'
                f'uri="/api/v1/orders/{{id}}/items/{number}"'
            )
            for count, bound in enumerate(_BOUNDS):
                yield f'{name}_bucket{{{labels},le="{bound}"}} {count * 37}'
            yield f'{name}_bucket{{{labels},le="+Inf"}} 2442'
            yield f"{name}_count{{{labels}}} 2442"
            yield f"{name}_sum{{{labels}}} 73.502918447"
        for area, pool in (("heap", "G1 Eden Space"), ("heap", "G1 Old Gen"), ("nonheap", "Code")):
            gauge = f"jvm_memory_used_bytes_{number}"
            yield f"# HELP {gauge} The amount of used memory"
            yield f"# TYPE {gauge} gauge"
            yield f'{gauge}{{area="{area}",id="{pool}"}} 5.24288E7'
        number += 1
