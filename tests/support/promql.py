"""What is wrong with a PromQL expression, by what the catalogue says of the series that it names.

The labels that each part of an expression has follow from the catalogue, so that a comparison whose
sides can never match is found, and a label that is printed and isn't there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import promql_parser as pq

from pg_pool_exporter.metrics.catalogue import METRICS
from support.rule_files import RECORDS

Labels = frozenset[str]

TARGET = frozenset({"job", "instance"})
"""What Prometheus adds to whatever it scrapes."""
ENVIRONMENT = frozenset({"cluster", "env"})
"""What a user's Prometheus may add to all series of an environment."""
POD = frozenset({"pod", "node"})
"""What discovery in Kubernetes may add: where one exporter runs, and another one later."""
TARGET_KINDS = ("server", "log", "app", "process", "bouncer")

# Range functions by what they are for; others, which take either, are not listed.
_OF_COUNTERS = {"rate", "increase", "irate", "resets"}
_OF_GAUGES = {
    "avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "quantile_over_time",
    "stddev_over_time", "predict_linear", "deriv", "delta", "idelta",
}  # fmt: skip
_EXISTENCE = {"absent", "absent_over_time", "present_over_time", "count_over_time"}
_SELECTING = {"topk", "bottomk", "limitk"}
_SETS = {"and", "or", "unless"}


@dataclass(frozen=True)
class Known:
    """A series that an expression may name. `counts` is true of counters only."""

    labels: Labels
    counts: bool
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """All values of a label, where they are known."""


def _catalogue() -> Iterator[tuple[str, Known]]:
    for metric in METRICS:
        labels = TARGET | frozenset(metric.labels)
        values = {metric.labels[-1]: metric.values} if metric.values else {}
        if metric.section == "exporter" and "kind" in metric.labels:
            values["kind"] = TARGET_KINDS
        if metric.bounds:
            counts = metric.type == "histogram"
            yield f"{metric.name}_bucket", Known(labels | {"le"}, counts)
            yield f"{metric.name}_sum", Known(labels, counts)
            yield f"{metric.name}_count", Known(labels, counts)
        else:
            yield metric.name, Known(labels, metric.type == "counter", values)
    for name in ("up", "scrape_duration_seconds", "process_resident_memory_bytes"):
        yield name, Known(TARGET, False)
    yield "process_cpu_seconds_total", Known(TARGET, True)
    # Alerts have the labels of what they are about.
    about = TARGET | {"app", "application", "pool", "server", "bouncer", "target"}
    about |= {"alertname", "severity", "cause"}
    severities = ("info", "warning", "critical")
    yield "ALERTS_FOR_STATE", Known(about, False, {"severity": severities})
    states = {"alertstate": ("pending", "firing"), "severity": severities}
    yield "ALERTS", Known(about | {"alertstate"}, False, states)


KNOWN: dict[str, Known] = dict(_catalogue())
_RECORDS = {record.name: record for record in RECORDS}


@dataclass
class Checked:
    """The labels of what an expression gives, None for a number, and what is wrong with it."""

    labels: Labels | None
    problems: list[str]


def check(expression: str) -> Checked:
    """Everything that is wrong with `expression`. Raises `ValueError` where it can't be parsed."""
    checker = _Checker()
    labels = checker.labels(pq.parse(expression))
    return Checked(labels, checker.problems)


def numbers(expression: str) -> set[float]:
    """The numbers in an expression, those of durations left out."""
    return {one.val for one in nodes(expression) if isinstance(one, pq.NumberLiteral)}


def nodes(expression: str) -> list[pq.Expr]:
    """All parts of an expression, the outer before the inner."""
    return parts(pq.parse(expression))


def parts(node: pq.Expr) -> list[pq.Expr]:
    """The node and all that it is made of, the outer before the inner."""
    found: list[pq.Expr] = []
    pq.walk(node, pre_visit=found.append)
    return found


def series(name: str) -> Known | None:
    """What is known of the series `name`, recorded ones included."""
    if name not in KNOWN and name in _RECORDS:
        record = _RECORDS[name]
        own = frozenset(record.labels)
        KNOWN[name] = Known((check(record.expression).labels or frozenset()) | own, False)
    return KNOWN.get(name)


class _Checker:
    def __init__(self) -> None:
        self.problems: list[str] = []

    def labels(self, node: pq.Expr, function: str = "") -> Labels | None:
        """Labels of what `node` gives; `function` is the one that it is the argument of."""
        match node:
            case pq.NumberLiteral() | pq.StringLiteral():
                return None
            case pq.ParenExpr() | pq.UnaryExpr() | pq.SubqueryExpr():
                return self.labels(node.expr, function)
            case pq.MatrixSelector():
                return self._selector(node.vector_selector, function)
            case pq.VectorSelector():
                return self._selector(node, function)
            case pq.AggregateExpr():
                return self._aggregate(node)
            case pq.Call():
                return self._call(node)
            case pq.BinaryExpr():
                return self._binary(node)
        raise AssertionError(f"unknown part of an expression: {node}")

    def _problem(self, text: str) -> None:
        self.problems.append(text)

    def _selector(self, node: pq.VectorSelector, function: str) -> Labels:
        name = node.name or ""
        known = series(name)
        if known is None:
            self._problem(f"{name} is no metric and no recording rule")
            return frozenset()
        if function in _OF_COUNTERS and not known.counts:
            self._problem(f"{function}() of {name}, which is no counter")
        if function not in _OF_COUNTERS | _EXISTENCE and known.counts:
            self._problem(f"{name} is a counter, and is not read by rate() or increase()")
        labels = set(known.labels)
        for matcher in node.matchers.matchers:
            # An exception for one application, which a user may add to a threshold.
            if name.startswith("pg_pool_exporter:threshold:") and matcher.name == "app":
                if matcher.op == pq.MatchOp.NotEqual:
                    labels.add("app")
                continue
            if matcher.name not in known.labels | ENVIRONMENT:
                self._problem(f"{name} has no label {matcher.name}")
            self._values(name, known, matcher)
        return frozenset(labels)

    def _values(self, name: str, known: Known, matcher: pq.Matcher) -> None:
        values = known.values.get(matcher.name)
        if values is None or not matcher.value:
            return
        asked = matcher.value.split("|")
        if matcher.op in (pq.MatchOp.Equal, pq.MatchOp.NotEqual):
            asked = [matcher.value]
        for value in asked:
            if not any(re.fullmatch(value, one) for one in values):
                self._problem(f"{name} never has {matcher.name}={value}")

    def _aggregate(self, node: pq.AggregateExpr) -> Labels:
        inner = self.labels(node.expr) or frozenset()
        if node.modifier is None:
            return inner if str(node.op) in _SELECTING else frozenset()
        named = frozenset(node.modifier.labels)
        if missing := named - inner - TARGET - POD:
            self._problem(f"{node.op} over {sorted(missing)}, which are no labels there")
        if node.modifier.type == pq.AggModifierType.By:
            return inner & named
        return inner - named

    def _call(self, node: pq.Call) -> Labels | None:
        name = node.func.name
        arguments = [self.labels(one, name) for one in node.args]
        match name:
            case "scalar" | "time" | "pi":
                return None
            case "vector":
                return frozenset()
            case "absent" | "absent_over_time":
                return frozenset()
            case "histogram_quantile":
                inner = arguments[1] or frozenset()
                if "le" not in inner:
                    self._problem("histogram_quantile() without le")
                return inner - {"le"}
            case "label_replace" | "label_join":
                made = node.args[1]
                assert isinstance(made, pq.StringLiteral)
                return (arguments[0] or frozenset()) | {made.val}
        return next((one for one in arguments if one is not None), None)

    def _binary(self, node: pq.BinaryExpr) -> Labels | None:
        left, right = self.labels(node.lhs), self.labels(node.rhs)
        if left is None or right is None:
            return right if left is None else left
        operation = str(node.op)
        matching = node.modifier.matching if node.modifier else None
        if operation == "or":
            return left | right
        if matching is None:
            on = left | right
        elif matching.type == pq.LabelModifierType.Include:
            on = frozenset(matching.labels)
        else:
            on = (left | right) - frozenset(matching.labels)
        for side, labels in (("left", left), ("right", right)):
            if missing := on - labels:
                self._problem(f"the {side} side of {operation} lacks {sorted(missing)}")
        if operation in _SETS:
            return left
        return self._matched(node, left, right, on)

    def _matched(self, node: pq.BinaryExpr, left: Labels, right: Labels, on: Labels) -> Labels:
        card = node.modifier.card if node.modifier else pq.VectorMatchCardinality.OneToOne
        taken = frozenset((node.modifier and node.modifier.group_labels) or ())
        if card == pq.VectorMatchCardinality.ManyToOne:
            return left | taken
        if card == pq.VectorMatchCardinality.OneToMany:
            return right | taken
        if node.modifier is None or node.modifier.matching is None:
            return left
        return on
