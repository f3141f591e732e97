"""The page in a real browser: it runs and loads nothing but its own, and fits a phone."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from conftest import require
from pg_pool_exporter.model import TargetId
from support.both_sides import HOSTILE, BothSides, everywhere
from support.browser import CHROMIUM, browsing
from support.serving import Served, client, serving

pytestmark = pytest.mark.debian

DESKTOP, PHONE = 1280, 360
WIDTHS = (1920, DESKTOP, 768, PHONE)
# What is wider than the window, if anything is.
_WIDEST = """
[...document.querySelectorAll('body *')]
  .filter(one => one.getBoundingClientRect().right > WIDTH + 1)
  .slice(0, 3).map(one => one.outerHTML.slice(0, 200))
"""
# Of each text its contrast with what is behind it; what is below that of WCAG AA.
_TOO_FAINT = """
(() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const linear = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const behind = one => {
    for (; one; one = one.parentElement) {
      const color = rgb(getComputedStyle(one).backgroundColor);
      if (color.length === 3) return color;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('body *')]
    .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
    .map(one => {
      const [a, b] = [rgb(getComputedStyle(one).color), behind(one)].map(light);
      return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), one.outerHTML.slice(0, 120)];
    }).filter(([contrast]) => contrast < 4.5).slice(0, 3);
})()
"""
# Short words that a narrow column breaks.
_BROKEN = """
[...document.querySelectorAll('th, td, th *, td *')].flatMap(cell => [...cell.childNodes])
  .filter(node => node.nodeType === 3 && /^\\S{1,12}$/.test(node.data))
  .filter(node => {
    const range = document.createRange();
    range.selectNodeContents(node);
    return range.getClientRects().length > 1;
  }).map(node => node.data)
"""


def fleet() -> BothSides:
    """500 pools."""
    sides = everywhere("x")
    for number in range(500):
        sides.pool(
            1, number % 10, app=f"application-{number}", target=TargetId("app", str(number), "a")
        )
    return sides


def show(known: BothSides, served: Served) -> None:
    """Let the page show what is known."""
    for state in known.store.states():
        served.store.put(state)
    served.analyzer.update()


def hostile() -> BothSides:
    return everywhere(HOSTILE)


def long_words() -> BothSides:
    return everywhere("x" * 5000)


@pytest.mark.parametrize("sides", [fleet, hostile, long_words])
def test_it_is_readable_and_does_nothing_but_show(sides: Callable[[], BothSides]) -> None:
    require(CHROMIUM, "Chromium, of Debian's package chromium")

    async def main() -> None:
        known = sides()
        async with serving(clock=lambda: known.now) as served, browsing() as browser:
            show(known, served)
            for scheme, width in itertools.product(("light", "dark"), WIDTHS):
                await browser.call(
                    "Emulation.setEmulatedMedia",
                    features=[{"name": "prefers-color-scheme", "value": scheme}],
                )
                await browser.open(f"http://127.0.0.1:{served.port}/", width)
                assert await browser.evaluate("document.querySelectorAll('.pools tbody tr').length")
                assert await browser.evaluate(_WIDEST.replace("WIDTH", str(width))) == []
                assert await browser.evaluate("document.documentElement.scrollWidth") <= width
                assert await browser.evaluate(_TOO_FAINT) == []
                # The style sheet is the one that the policy allows.
                family = "getComputedStyle(document.body).marginTop"
                assert await browser.evaluate(family) == "0px"
                happened = [method for method, _ in browser.events]
                assert "Page.javascriptDialogOpening" not in happened
                asked = [
                    params["request"]["url"]
                    for method, params in browser.events
                    if method == "Network.requestWillBeSent"
                ]
                assert {url.rpartition("/")[2] for url in asked} <= {"", "favicon.ico"}

    asyncio.run(main())


def test_what_is_wrong_is_on_a_phones_first_screen() -> None:
    require(CHROMIUM, "Chromium, of Debian's package chromium")

    async def main() -> None:
        known = everywhere("shop")
        async with serving(clock=lambda: known.now) as served, browsing() as browser:
            show(known, served)
            await browser.open(f"http://127.0.0.1:{served.port}/", PHONE, 640)
            bottom = "document.querySelector('.brief li:last-child').getBoundingClientRect().bottom"
            assert await browser.evaluate(bottom) < 640

    asyncio.run(main())


@pytest.mark.parametrize("width", [DESKTOP, 980])
def test_a_short_word_stays_on_one_line(width: int) -> None:
    """Also beside a long reason why a target is down."""
    require(CHROMIUM, "Chromium, of Debian's package chromium")

    async def main() -> None:
        known = BothSides()
        known.pool(1, 1)
        known.fail(TargetId("server", "main"), "refused", error="connection refused: " * 10)
        async with serving(clock=lambda: known.now) as served, browsing() as browser:
            show(known, served)
            await browser.open(f"http://127.0.0.1:{served.port}/", width)
            assert await browser.evaluate(_BROKEN) == []

    asyncio.run(main())


def test_a_page_for_a_browser_is_compressed() -> None:
    async def main() -> None:
        known = fleet()
        async with serving(clock=lambda: known.now) as served, client(served) as http:
            show(known, served)
            async with http.get("/", headers={"Accept-Encoding": "gzip"}) as answer:
                assert answer.headers["Content-Encoding"] == "gzip"
                assert len(await answer.read()) < 100_000

    asyncio.run(main())


# What a reader does: close a finding, move the focus.
_READ_ON = """
window.card = document.querySelector('.finding');
card.open = false;
window.marked = document.querySelector('.pools tbody th');
document.querySelector('footer a').focus();
true
"""
_REFRESH = "document.dispatchEvent(new Event('visibilitychange'))"
_UNTOUCHED = """
window.card.isConnected && !window.card.open && window.marked.isConnected
  && document.activeElement === document.querySelector('footer a')
"""


def test_a_refresh_changes_what_differs_and_nothing_else() -> None:
    """What the reader has closed stays closed, and the focus stays."""
    require(CHROMIUM, "Chromium, of Debian's package chromium")

    async def main() -> None:
        known = BothSides()
        known.pool(1, 8, leaked_slots={"shop.py:1 report": 6})
        async with serving(clock=lambda: known.now) as served, browsing() as browser:
            show(known, served)
            await browser.open(f"http://127.0.0.1:{served.port}/", DESKTOP, 400)
            await browser.evaluate(_READ_ON)
            assert "6 not returned" in await browser.evaluate("document.body.innerText")
            known.now += 5
            known.pool(0, 10, leaked_slots={"shop.py:1 report": 7})
            known.fail(TargetId("app", "web:81", "mail"), "refused")
            show(known, served)
            await browser.evaluate(_REFRESH)
            await browser.until("document.body.innerText.includes('7 not returned')")
            assert await browser.evaluate("document.title.startsWith('1 problem, 1 warning')")
            assert await browser.evaluate("document.body.innerText.includes('mail@web:81')")
            assert await browser.evaluate(_UNTOUCHED) is True
            assert [one for one in browser.events if one[0] == "Runtime.exceptionThrown"] == []

    asyncio.run(main())


def test_a_page_that_cannot_be_refreshed_says_since_when_it_is_old() -> None:
    require(CHROMIUM, "Chromium, of Debian's package chromium")

    async def main() -> None:
        known = everywhere("shop")
        async with browsing() as browser:
            async with serving(clock=lambda: known.now) as served:
                show(known, served)
                port = served.port
                await browser.open(f"http://127.0.0.1:{port}/", DESKTOP)
            hidden = "document.getElementById('no-answer').hidden"
            assert await browser.evaluate(hidden)
            await browser.evaluate(_REFRESH)
            await browser.until(f"!{hidden}")
            said = await browser.evaluate("document.getElementById('no-answer').innerText")
            assert said.startswith("No answer from the exporter since ")
            async with serving(f"127.0.0.1:{port}", clock=lambda: known.now) as served:
                show(known, served)
                await browser.evaluate(_REFRESH)
                await browser.until(hidden)

    asyncio.run(main())
