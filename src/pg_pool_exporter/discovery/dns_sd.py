"""Addresses in DNS: those of a name, or the hosts and ports of its SRV records."""

from __future__ import annotations

from typing import ClassVar, Literal

import dns.asyncresolver
import dns.exception
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.rdtypes.IN.SRV
import dns.resolver

from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.discovery.address_list import Address, ListError
from pg_pool_exporter.discovery.discoverer import Discoverer, Listing

CONFIGURATION = Lane("resolver-configuration")
"""Reads the system's list of name servers."""


class DnsDiscoverer(Discoverer):
    """The records of one type that a name has. `port` is for records without one."""

    mechanism: ClassVar[str] = "dns_sd"

    def __init__(self, name: str, kind: Literal["SRV", "A", "AAAA"], port: int | None) -> None:
        self.key = self.name = f"{kind} {name}" if port is None else f"{kind} {name}:{port}"
        self._asked = name
        self._kind = kind
        self._port = port

    async def discover(self) -> Listing:
        """Ask the name servers of the system. A name that does not exist lists nothing."""
        try:
            system = await CONFIGURATION.run(resolver, key="resolver")
            answer = await system.resolve(self._asked, self._kind, search=True)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return Listing()
        except dns.resolver.NoNameservers:
            raise ListError("not resolved: the name servers refuse or fail") from None
        except dns.resolver.LifetimeTimeout:
            raise ListError("not resolved: no name server answers") from None
        except (dns.exception.DNSException, OSError) as error:
            raise ListError(f"not resolved: {type(error).__name__}") from None
        found = {text for record in answer if (text := self._address(record)) is not None}
        return Listing(tuple(Address(text, at=text) for text in sorted(found)))

    def _address(self, record: object) -> str | None:
        match record:
            case dns.rdtypes.IN.SRV.SRV():
                host = record.target.to_text(omit_final_dot=True)
                # A target of "." says that the service is not offered there.
                return None if host in ("", "@", ".") else f"{host}:{record.port}"
            case dns.rdtypes.IN.A.A():
                return f"{record.address}:{self._port}"
            case dns.rdtypes.IN.AAAA.AAAA():
                return f"[{record.address}]:{self._port}"
        return None


def resolver() -> dns.asyncresolver.Resolver:
    """A resolver for the name servers in /etc/resolv.conf now. Blocking: it reads the file."""
    return dns.asyncresolver.Resolver()
