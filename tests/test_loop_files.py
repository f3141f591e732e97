"""Whatever the exporter reads from files, its event loop opens none."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from support.programs import answers, free_port, running, seconds_until

# Prints what is opened or listed while the loop runs, by its thread. The kernel's files
# never block.
WATCHED = """
import asyncio, sys, threading

def watch(event, arguments):
    if event not in ("open", "os.listdir", "os.scandir") or threading.current_thread() is not main:
        return
    if str(arguments[0]).startswith(("/proc/", "/dev/")):
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    frame, stack = sys._getframe(1), []
    while frame is not None and len(stack) < 12:
        stack.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        frame = frame.f_back
    print("ON THE LOOP:", event, arguments[0], *stack, file=sys.stderr)

main = threading.main_thread()
from pg_pool_exporter.__main__ import main as run
sys.addaudithook(watch)
sys.exit(run())
"""


def test_the_loop_opens_no_file(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "targets.yml").write_text(f"- targets: ['127.0.0.1:{free_port()}']\n")
    (tmp_path / "server.log").write_text("")
    (tmp_path / "web.yml").write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    (tmp_path / "exporter.yml").write_text(f"""
socket_dir: {tmp_path}/sockets
state_dir: {tmp_path}/state
servers:
  - name: main
    dsn: postgresql://exporter@127.0.0.1:{free_port()}/postgres
    password_file: {tmp_path}/password
    interval: 200ms
    timeout: 150ms
    log: {{files: ['{tmp_path}/server.log'], interval: 200ms, timeout: 150ms}}
apps:
  - name: orders
    targets: ['{url}']
    basic_auth: {{username: exporter, password_file: {tmp_path}/password}}
    interval: 200ms
    timeout: 150ms
  - name: found
    file_sd: ['{tmp_path}/targets.yml']
""")
    command = [
        *(sys.executable, "-c", WATCHED, "run"),
        f"--config.file={tmp_path}/exporter.yml",
        f"--web.config.file={tmp_path}/web.yml",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = tmp_path / "log"
    with running(command, log=log) as process:
        seconds_until(lambda: answers(url), "it answers", 10)
        process.send_signal(signal.SIGHUP)
        seconds_until(lambda: "configuration loaded" in log.read_text(), "it reloads", 10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    opened = [line for line in log.read_text().splitlines() if line.startswith("ON THE LOOP")]
    assert opened == []
