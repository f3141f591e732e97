"""Each mechanism of discovery, and the providers that an application's configuration asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pg_pool_exporter.config import AppConfig, Config
from pg_pool_exporter.discovery.dns_sd import DnsPlace
from pg_pool_exporter.discovery.file_sd import WATCH_SECONDS, FilePlace
from pg_pool_exporter.discovery.http_sd import HttpPlace
from pg_pool_exporter.discovery.places import Place
from pg_pool_exporter.discovery.provider import Provider


class _Wanted(NamedTuple):
    place: Place
    interval: float


def providers(
    config: Config, former: Iterable[Provider], changed: Callable[[], None]
) -> Iterator[Provider]:
    """The providers of all applications.

    A place that one of the `former` ones has for the same application is used on, so that nothing
    it lists is lost when it can't be looked at now.
    """
    known = {_key(provider.app, provider.place): provider for provider in former}
    for app in config.apps:
        for place, interval in _wanted(app):
            before = known.get(_key(app, place))
            if before is None:
                yield Provider(app, place, interval, changed=changed)
            else:
                yield Provider(app, before.place, interval, before.listing, changed)


def _wanted(app: AppConfig) -> Iterator[_Wanted]:
    for pattern in app.file_sd:
        yield _Wanted(FilePlace(pattern), WATCH_SECONDS)
    for http in app.http_sd:
        yield _Wanted(HttpPlace(http.url), http.refresh_interval)
    for dns in app.dns_sd:
        for name in dns.names:
            yield _Wanted(DnsPlace(name, dns.type, dns.port), dns.refresh_interval)


def _key(app: AppConfig, place: Place) -> tuple[str, str, str]:
    return app.name, place.mechanism, place.key
