"""Memory with ten targets, and start-up time: `python -m bench.footprint`, from the root.

The targets are a PostgreSQL server and nine instrumented processes' pages. Start-up time is from
starting the command to the first answered scrape. Memory is the exporter's own resident size.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from bench.scrape_servers import sample
from pg_pool_exporter.metrics.series import of_pools
from pg_pool_exporter.metrics.text_format import TEXT_CONTENT_TYPE, blocks, page
from support.postgres import EMBEDDED_16, Cluster

PAGES = 9


@contextmanager
def pages() -> Iterator[list[str]]:
    """Addresses of nine pages with one pool each."""
    bodies = {f"/{number}": page([blocks(of_pools([sample(number)]))]) for number in range(PAGES)}

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies[self.path].encode()
            self.send_response(200)
            self.send_header("Content-Type", TEXT_CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Pages(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """An exporter that is ended hangs up in the middle of a page."""

    with Pages(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield [f"http://127.0.0.1:{server.server_port}{path}" for path in bodies]
        server.shutdown()
        thread.join()


def scrape(port: int) -> str:
    """The page; empty when nobody listens yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""


@contextmanager
def exporter(config: Path, port: int) -> Iterator[float]:
    """Run the command; yields the seconds that it took to answer."""
    command = [sys.executable, "-m", "pg_pool_exporter", f"--config.file={config}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warning"]
    started = time.perf_counter()
    with subprocess.Popen(command) as process:
        while not scrape(port):
            time.sleep(0.002)
        try:
            yield time.perf_counter() - started
        finally:
            process.terminate()


def resident(port: int) -> float:
    """The exporter's resident memory in MiB, by its own account."""
    lines = scrape(port).splitlines()
    size = next(line for line in lines if line.startswith("process_resident_memory_bytes "))
    return float(size.split()[1]) / 1024**2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of polling and scraping")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--port", type=int, default=10433)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(Cluster(EMBEDDED_16))
        urls = stack.enter_context(pages())
        config = directory / "exporter.yaml"
        config.write_text(
            "socket_dir: ''\n"
            f"servers: [{{name: main, interval: 1s, timeout: 1s, dsn: '{postgres.dsn()}'}}]\n"
            f"apps: [{{name: shop, interval: 1s, timeout: 1s, targets: {urls}}}]\n"
        )
        starts = []
        for _ in range(arguments.starts):
            with exporter(config, arguments.port) as seconds:
                starts.append(seconds)
        with exporter(config, arguments.port):
            end = time.monotonic() + arguments.seconds
            while time.monotonic() < end:
                time.sleep(0.2)
                text = scrape(arguments.port)
            up = sum(
                line.startswith("pg_pool_exporter_target_up") and line.endswith(" 1")
                for line in text.splitlines()
            )
            series = sum(not line.startswith("#") for line in text.splitlines())
            memory = resident(arguments.port)
    print(f"targets up: {up}, series: {series}")
    print(f"start to first answered scrape: {statistics.median(starts):.2f} s (median)")
    print(f"resident memory after {arguments.seconds:.0f} s: {memory:.0f} MiB")


if __name__ == "__main__":
    main()
