"""The page at `/`: what somebody sees who opens the exporter's address in a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from math import inf, nan
from typing import Any

import aiohttp
import pytest

from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.analysis.findings.finding import Subject
from pg_pool_exporter.model import Backend, DatabaseCounters, Hold, SessionGroup, TargetId
from pg_pool_exporter.web.links import Links
from pg_pool_exporter.web.page import Place, document
from pg_pool_exporter.web.page.pools import MAX_POOLS
from pg_pool_exporter.web.page.targets import MAX_TARGETS
from support.both_sides import HOSTILE, BothSides, everywhere, session_key
from support.serving import Served, with_client

SITE = "shop/report.py:40 show_report"
CARD = "finding problem"
VOID = {"meta", "link", "img", "br", "input", "hr"}
NOW = 1.7e9
PLACE = Place(
    host="db-7", telemetry_path="/metrics", findings_path="/api/v1/findings",
    links=Links("https://wiki.example", "https://grafana.example/g"),
)  # fmt: skip


class Elements(HTMLParser):
    """All elements with their attributes, and the text; every element must be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] not in (["style"], ["script"]):
            self.text += f"{data} "

    def tags(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def page(sides: BothSides) -> Elements:
    return Elements(html(sides))


def html(sides: BothSides) -> str:
    return document(sides.analysis, NOW, place=PLACE, refresh=True).decode()


def in_order(text: str, *parts: str) -> bool:
    places = [text.index(part) for part in parts]
    return places == sorted(places)


def test_nothing_is_wrong() -> None:
    sides = BothSides()
    sides.pool(9, 1)
    sides.server({"idle": [5.0] * 9, "active": [0.1]})
    found = page(sides)
    assert "Nothing is wrong" in found.text
    assert in_order(found.text, "1 pool", "1 server", "2 of 2 targets up")
    assert "What is wrong" not in found.text


@pytest.mark.parametrize(
    ("unread", "words"), [(False, "Nothing is watched"), (True, "Nothing is known yet")]
)
def test_what_has_not_been_read_is_not_called_healthy(unread: bool, words: str) -> None:
    sides = BothSides()
    if unread:
        sides.unread(TargetId("server", "main"))
    assert words in page(sides).text


def test_no_pool_is_never_green_and_leads_to_the_next_step() -> None:
    sides = BothSides()
    sides.server({"idle": [5.0]})
    sides.analyzer.exporter = ExporterStatus(socket_directory="/run/sockets (mode 2770)")
    found = page(sides)
    assert in_order(
        found.text, "No pool is watched", "/run/sockets (mode 2770)", "instrument(pool)"
    )
    assert 'class="fine"' not in html(sides)


def test_a_leak_is_reported_first_with_its_line_and_then_with_all_that_is_known() -> None:
    sides = BothSides()
    sides.pool(1, 8, leaked_slots={SITE: 6})
    found = page(sides)
    assert in_order(found.text, "1 problem", SITE, "What is wrong", "What to do:", "Pools")
    assert "6 connections checked out and not returned." in found.text
    assert "with pool.connection() as conn:" in found.text
    assert "6 not returned" in found.text
    links = {one["href"] for one in found.tags("a")}
    assert "https://wiki.example/returning-connections.md" in links
    assert "https://grafana.example/g/d/pgpe-pool?var-app=orders&var-pool=main" in links


def test_of_several_pools_of_an_application_each_tells_what_all_together_have_not_given_back() -> (
    None
):
    sides = BothSides()
    for _ in range(20):
        sides.pool(1, 2)
        sides.pool(0, 2, name="reports", process="web:1")
        sides.server({"idle": [300.0, 200.0, 100.0, 1.0, 1.0]})
        sides.now += 5
    sides.now -= 5
    text = page(sides).text
    assert text.count("2 not returned by all pools of orders together") == 2


def test_a_pool_that_is_full_says_so_however_short_it_has_been_watched() -> None:
    sides = BothSides()
    sides.pool(0, 10)
    table = page(sides).text.partition("worst first")[2]
    assert in_order(table, "orders/main", "100%", "full")


def test_a_pool_is_a_bar_that_says_the_same_in_words() -> None:
    sides = BothSides()
    sides.pool(1, 8, waiting=2, leaked_slots={SITE: 6})
    found = page(sides)
    label = "8 in use, 1 idle, of 10; 2 waiting; 6 not returned"
    assert label in [one["aria-label"] for one in found.tags("svg")]
    widths = {one["class"]: float(one["width"] or 0) for one in found.tags("rect")}
    assert widths["held"] == pytest.approx(48)
    assert widths["active"] == pytest.approx(16)
    assert widths["idle"] == pytest.approx(8)
    assert widths["waiting"] == pytest.approx(3.6)


def test_the_worst_pool_comes_first() -> None:
    sides = BothSides()
    sides.pool(1, 2, app="calm", process="web:1")
    sides.pool(1, 9, app="busy", process="web:2")
    sides.pool(8, 1, app="leaky", process="web:3", leaked_slots={SITE: 1})
    text = page(sides).text.partition("the worst first")[2]
    assert in_order(text, "leaky/main", "busy/main", "calm/main")


def test_the_last_hour_is_a_line_and_the_trend_says_when_the_pool_is_full() -> None:
    sides = BothSides()
    for minute in range(40):
        sides.pool(0, 1 + minute // 5)
        sides.now += 60
    sides.pool(0, 8)
    found = page(sides)
    labels = [one["aria-label"] or "" for one in found.tags("svg")]
    assert "checked out in the last 40 minutes: between 1 and 8, in the end 8" in labels
    assert len((found.tags("polyline")[0]["points"] or "").split()) == 40
    assert "full in 5 min at this pace" in found.text


def test_minutes_that_nobody_saw_are_a_gap_in_the_line() -> None:
    sides = BothSides()
    for _ in range(2):
        for _ in range(5):
            sides.pool(9, 1)
            sides.now += 60
        sides.now += 600
    sides.now -= 600
    sides.pool(9, 1)
    found = page(sides)
    labels = [one["aria-label"] or "" for one in found.tags("svg")]
    assert any("in the last 20 minutes, 10 of them unknown" in label for label in labels)
    assert [len((one["points"] or "").split()) for one in found.tags("polyline")] == [5, 5]


def test_who_waits_for_locks_and_who_is_in_the_way_is_reported() -> None:
    sides = BothSides()
    groups = {
        session_key("billing"): SessionGroup(waiting=6, oldest_waiting=45.0),
        session_key("reports"): SessionGroup(blocking=1),
    }
    sides.server({}, groups=groups, databases={"shop": DatabaseCounters(deadlocks=0)})
    text = page(sides).text
    table = text.partition("Lock waits")[2]
    assert in_order(table, "reports", "billing", "45 s")


def test_a_pool_of_a_bouncer_is_a_bar_and_its_clients_that_wait_are_not_called_healthy() -> None:
    sides = BothSides()
    sides.bouncer(0, active=2, name="calm")
    assert "Nothing is wrong" in page(sides).text
    sides.bouncer(5)
    found = page(sides)
    assert "Nothing is wrong" not in found.text
    assert in_order(found.text, "1 problem", "bouncer edge", "5 clients wait", "shop/orders",
                    "Pools of bouncers", "calm")  # fmt: skip
    labels = [one["aria-label"] for one in found.tags("svg")]
    assert labels == ["20 in use, 0 idle, of 20; 5 waiting", "2 in use, 18 idle, of 20; 0 waiting"]
    sides.fail(TargetId("app", "web:81", "mail"), "refused")
    assert "1 problem, 1 warning" in page(sides).text


def test_the_chain_from_a_bouncer_s_client_to_its_session_is_shown() -> None:
    sides = BothSides()
    hold = Hold("web", "10.0.0.7", "40001", 300, "127.0.0.1", "5432", 77, "orders")
    backend = Backend("orders", "idle_in_transaction", 300, 310)
    sides.server({"idle": [1.0]}, backends={77: backend})
    sides.bouncer(0, active=1, holds=(hold,), clients_read=True)
    _, _, text = page(sides).text.partition("Clients that have a connection")
    assert in_order(
        text, "web", "10.0.0.7:40001", "shop/orders",
        "5 min ago", "process 77 of main", "idle in transaction for 5 min",
        "transaction open for 5 min",
    )  # fmt: skip
    sides.server({"idle": [1.0]}, backends={77: Backend("orders", "active", 0.1, 0.1)})
    assert "Clients that have a connection" not in page(sides).text, "nobody waits for it"


def test_forgotten_transactions_are_reported_and_young_ones_are_not() -> None:
    sides = BothSides()
    sides.server({"idle_in_transaction": [600.0, 119.0]})
    table = page(sides).text.partition("Idle in transaction for too long")[2]
    assert in_order(table, "orders", " 1 ", "10 min")


def test_targets_that_do_not_answer_are_reported_with_the_reason() -> None:
    sides = BothSides()
    sides.pool(1, 1)
    sides.fail(TargetId("app", "web:81", "mail"), "refused")
    sides.unread(TargetId("app", "web:82", "new"))
    text = page(sides).text
    assert "3 targets: 1 up, 2 not up" in text
    table = text.partition("Targets that are not up")[2]
    assert in_order(table, "mail@web:81", "down", "refused", "nothing answers", "not polled yet")


def test_names_from_outside_stay_text() -> None:
    found, harmless = page(everywhere(HOSTILE)), page(everywhere("x"))
    assert [tag for tag, _ in found.found] == [tag for tag, _ in harmless.found]
    assert [sorted(given) for _, given in found.found] == [
        sorted(given) for _, given in harmless.found
    ]
    assert "alert(1)" in found.text
    # Nothing turns the direction of what is written after a name.
    assert found.text.replace("\n", "").isprintable()


def test_long_names_are_cut() -> None:
    assert len(html(everywhere("x" * 100_000))) < 60_000


@pytest.mark.parametrize("value", [nan, inf, -1.0, 1e300])
def test_figures_that_make_no_sense_do_no_harm(value: float) -> None:
    sides = BothSides()
    for _ in range(3):
        sides.pool(value, value, max=value, waiting=value)
        sides.now += 60
    sides.pool(value, value, max=value, waiting=value)
    for rect in page(sides).tags("rect"):
        assert 0 <= float(rect["x"] or 0) <= 100
        assert 0 <= float(rect["width"] or 0) <= 100


def test_a_fleet_of_any_size_is_bounded() -> None:
    sides = BothSides()
    for number in range(MAX_POOLS + 20):
        for _ in range(2):
            sides.pool(
                1, number % 10, app=f"app-{number}", target=TargetId("app", str(number), "a")
            )
    for number in range(MAX_TARGETS + 30):
        sides.unread(TargetId("app", str(number), "unread"))
    text = html(sides)
    assert len(text) < 1_500_000
    assert f"{20} more pools are not shown" in text
    assert f"{30 + 20} more are not shown" in text


@pytest.mark.parametrize(("query", "refreshes"), [("", True), ("?refresh=off", False)])
def test_it_refreshes_itself_unless_told_not_to(query: str, refreshes: bool) -> None:
    async def test(_: Served, session: aiohttp.ClientSession) -> None:
        async with session.get(f"/{query}", headers={"Accept-Encoding": ""}) as answer:
            text = await answer.text()
        assert ("<script>" in text) is refreshes
        # For a browser without scripts.
        assert ('<noscript><meta http-equiv="refresh"' in text) is refreshes

    with_client(test)


def test_a_browser_may_use_the_page_s_own_style_and_script_and_nothing_else() -> None:
    async def test(_: Served, session: aiohttp.ClientSession) -> None:
        async with session.get("/", headers={"Accept-Encoding": ""}) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert answer.headers["Cache-Control"] == "no-store"
            text = await answer.text()
        found = Elements(text)
        assert policy.startswith("default-src 'none'; ")
        assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
        assert "unsafe" not in policy
        for tag in ("style", "script"):
            (own,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'; " in policy
        attributes: set[Any] = set().union(*(given for _, given in found.found))
        assert not {name for name in attributes if name.startswith("on")}
        assert not attributes & {"src", "style", "action"}
        assert found.tags("link") == []

    with_client(test)


def test_the_head_says_which_exporter_this_is() -> None:
    _, _, text = page(BothSides()).text.partition(" - pg-pool-exporter")
    assert in_order(text, "pg-pool-exporter", "db-7", "version", "2023-11-14 22:13:20 UTC")
    assert "<title>Nothing is watched - db-7 - pg-pool-exporter</title>" in html(BothSides())


@pytest.mark.parametrize(
    ("subject", "path"),
    [
        (Subject(app="a b", pool="m/1"), "pgpe-pool?var-app=a+b&var-pool=m%2F1"),
        (Subject(app="orders", server="main"), "pgpe-pool?var-app=orders"),
        (Subject(server="main", database="shop"), "pgpe-server?var-server=main"),
        (Subject(target=TargetId("bouncer", "edge")), "pgpe-bouncer?var-bouncer=edge"),
        (Subject(target=TargetId("app", "web:81", "mail")), "pgpe-exporter"),
        (Subject(), "pgpe-exporter"),
        (Subject(app='\ud800&"'), "pgpe-pool?var-app=%3F%26%22"),
    ],
)
def test_a_finding_leads_to_the_dashboard_of_what_it_is_about(subject: Subject, path: str) -> None:
    assert PLACE.links.about(subject) == f"https://grafana.example/g/d/{path}"
    assert Links().about(subject) is None


def test_a_finding_has_the_same_anchor_wherever_it_stands() -> None:
    """A refresh finds it again: what the reader has opened stays open."""
    sides = BothSides()
    sides.pool(1, 8, leaked_slots={SITE: 6})
    (anchor,) = (one["id"] for one in page(sides).tags("details") if one.get("class") == CARD)
    sides.pool(1, 8, app="mail", process="mail:1", leaked_slots={SITE: 8})
    cards = [one["id"] for one in page(sides).tags("details") if one.get("class") == CARD]
    assert len(set(cards)) == 2
    assert anchor in cards


def test_tables_are_tables_for_a_screen_reader() -> None:
    sides = BothSides()
    sides.pool(1, 1)
    found = page(sides)
    assert all(one["role"] == "table" for one in found.tags("table"))
    assert all(one["scope"] in ("row", "col") for one in found.tags("th"))
    assert all(one["role"] == "img" and one["aria-label"] for one in found.tags("svg"))
    assert len(found.tags("h1")) == len(found.tags("main")) == 1
    ids = [one["id"] for _, one in found.found if "id" in one]
    assert len(set(ids)) == len(ids)
    assert all(one["aria-labelledby"] in ids for one in found.tags("section"))


def test_an_analysis_that_hangs_is_neither_the_present_nor_fine() -> None:
    sides = BothSides()
    sides.pool(9, 1)
    sides.server({"idle": [1.0]})
    analysis = sides.analysis

    def shown(age: float | None) -> str:
        return document(analysis, 1.8e9, age, place=PLACE, refresh=True).decode()

    assert "Nothing is wrong" in shown(None)
    assert "Nothing is wrong" not in shown(300)
    assert "is 5 min old: the analysis hangs" in shown(300)
