"""Resolves the hosts of a connection string, so that neither the driver nor libpq does.

The driver would use the event loop's threads: a few hung name servers would occupy them all.
"""

from __future__ import annotations

import psycopg

from pg_pool_exporter.blocking.names import getaddrinfo, numeric
from pg_pool_exporter.sources.connection.libpq_files import Inputs, Params


async def with_addresses(inputs: Inputs) -> Params:
    """Add a `hostaddr` for each address of each host, in their order.

    A host without an address is left out. Raises `psycopg.OperationalError` when none has one.
    """
    params, hosts = inputs.params, _hosts(inputs)
    if not hosts:
        return params
    ports = {**inputs.defaults, **params}["port"].split(",")
    if len(ports) not in (1, len(hosts)):
        return params  # an error that libpq reports
    found = [
        (number, address) for number, host in enumerate(hosts) for address in await _addresses(host)
    ]
    if not found:
        raise psycopg.OperationalError("failed to resolve host")
    resolved = {
        "host": ",".join(hosts[number] for number, _ in found),
        "hostaddr": ",".join(address for _, address in found),
    }
    if len(ports) > 1:  # a single one is for all hosts
        resolved["port"] = ",".join(ports[number] for number, _ in found)
    return {**params, **resolved}


async def addresses_now(inputs: Inputs) -> set[str]:
    """All addresses of all hosts; none where one of the hosts has none, or is given by address."""
    found = [await _addresses(host) for host in _hosts(inputs)]
    return {address for one in found for address in one} if all(found) else set()


def _hosts(inputs: Inputs) -> list[str]:
    """The hosts to look up; none where there are none or their addresses are given."""
    known = {**inputs.defaults, **inputs.params}
    host = known.get("host")
    return host.split(",") if host and not known.get("hostaddr") else []


async def _addresses(host: str) -> list[str]:
    """Addresses of a host; one that is empty for a directory of unix sockets."""
    if not host or host.startswith(("/", "@")):
        return [""]
    try:
        return [numeric(address) for *_, address in await getaddrinfo(host, 0)]
    except OSError:
        return []
