"""Identifies the pools of a foreign format by the labels of their series."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import NamedTuple

from pg_pool_exporter.formats import Aliases, Format, Labels, first_of
from pg_pool_exporter.model import PoolInfo
from pg_pool_exporter.sources.pages.series.identity import PagePool, in_order, split
from pg_pool_exporter.sources.pages.series.safe_names import PoolName, safe_pool_name
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults

_SCOPE = "otel_scope_name"
# Labels of one bucket or quantile, which is no value of a pool.
_OF_DISTRIBUTIONS = frozenset({"le", "quantile"})


class FoundPool(NamedTuple):
    """A pool, and the info in the labels of one of its series."""

    pool: PagePool
    info: PoolInfo


class FormatPools:
    """Which pool a series of a format is about."""

    def __init__(self, form: Format) -> None:
        self._form = form
        where = [one for value in form.values for one in value.where]
        about = [*form.unless, *form.only]
        self._meant = {label for one in where for label in one.labels if label != _SCOPE}
        self._quiet = {*form.quiet, *(label for one in about for label in one.labels)} - self._meant
        # Most series of a pool have the same labels. One value, because threads share it.
        self._last: tuple[Labels, TargetDefaults, FoundPool | None] | None = None

    def of(self, labels: Labels, defaults: TargetDefaults) -> FoundPool | None:
        """The pool of a series with these labels; None for one that is about something else."""
        last = self._last
        if last is not None and last[1] is defaults and last[0] == labels:
            return last[2]
        found = self._find(labels, defaults)
        self._last = labels, defaults, found
        return found

    def _find(self, labels: Labels, defaults: TargetDefaults) -> FoundPool | None:
        form = self._form
        if not _OF_DISTRIBUTIONS.isdisjoint(labels):
            return None
        if any(condition.holds(labels) for condition in form.unless):
            return None
        if not all(condition.holds(labels) for condition in form.only):
            return None
        raw, used = _raw_name(form, labels)
        named = safe_pool_name(raw)
        if named.is_unpooled:
            return None
        pool = _page_pool(form, labels, raw, named, used | self._meant, self._quiet)
        return FoundPool(pool, _info(form, labels, named.info, defaults))


def _raw_name(form: Format, labels: Labels) -> tuple[str, set[str]]:
    """The pool's name as the page has it, and the labels that it is made of."""
    used = [label for aliases in form.pool if (label := _first_label(aliases, labels))]
    return "/".join(labels[label] for label in used), {*used}


def _first_label(aliases: Aliases, labels: Labels) -> str:
    """The first of these labels with a value; else empty."""
    return next((name for name in aliases if labels.get(name)), "")


def _page_pool(
    form: Format, labels: Labels, raw: str, named: PoolName, meant: Set[str], quiet: Set[str]
) -> PagePool:
    process = [label for aliases in form.process if (label := _first_label(aliases, labels))]
    # Parts of the name need not follow it again.
    in_name = {
        label
        for aliases in form.info.values()
        if (label := _first_label(aliases, labels)) and labels[label] in named.name
    }
    extra, target, silent = split(labels, {*meant, *process}, quiet | in_name)
    if named.name != raw:
        # Never shown; two connection strings can look alike without their passwords.
        silent = (("", raw), *silent)
    return PagePool(
        form.name,
        name=named.name,
        labels=(*named.rest, *extra),
        target=in_order([*((label, labels[label]) for label in process), *target]),
        quiet=silent,
    )


def _info(form: Format, labels: Labels, named: PoolInfo, defaults: TargetDefaults) -> PoolInfo:
    # Nothing here comes from a session, so the configured application_name fills the gap.
    named = replace(named, application=named.application or defaults.application)
    labelled = {field: _shown(aliases, labels) for field, aliases in form.info.items()}
    labelled = {field: text for field, text in labelled.items() if text}
    client = form.clients.get(labels.get(_SCOPE, ""), form.client)
    return replace(named, client=client, source=form.name, **labelled)


def _shown(aliases: Aliases, labels: Labels) -> str:
    """The first of these labels that is present, without what can be a password."""
    return safe_pool_name(first_of(aliases, labels)).name
