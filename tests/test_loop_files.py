"""The event loop opens none of the files that are given to the exporter.

What libpq opens is not seen here; tests/test_libpq_files.py has pipes in place of its files.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import bcrypt
import trustme

from support.postgres import Cluster
from support.programs import free_port, running, seconds_until

# Prints what is opened or listed while the loop runs, by its thread. The kernel's files never
# block, and those of the package are like its modules.
WATCHED = """
import asyncio, sys, threading

def watch(event, arguments):
    if event not in ("open", "os.listdir", "os.scandir") or threading.current_thread() is not main:
        return
    if str(arguments[0]).startswith(("/proc/", "/dev/", package)):
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
import pg_pool_exporter
from pg_pool_exporter.__main__ import main as run
package = pg_pool_exporter.__path__[0]
sys.addaudithook(watch)
sys.exit(run())
"""

POLLED = (
    'msg="target up" target=main kind=server',
    'msg="target up" target=main kind=log',
    "target=down kind=server reason=refused",
    "target=bouncer kind=bouncer reason=refused",
    # The exporter's own page: certificate and password are right, and no pool is on it.
    'kind=app reason=protocol error="no series of a pool',
)


def test_the_loop_opens_no_file(tmp_path: Path, postgres: Cluster) -> None:
    port = free_port()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "server.pem"
    )
    users = f"exporter: '{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}'"
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "targets.yml").write_text(f"- targets: ['127.0.0.1:{free_port()}']\n")
    (tmp_path / "server.log").write_text("")
    (tmp_path / "services").write_text(
        f"[shop]\nhost={postgres.host}\nport={postgres.port}\nuser=postgres\ndbname=postgres\n"
    )
    (tmp_path / "web.yml").write_text(f"""
tls_server_config: {{cert_file: server.pem, key_file: server.pem}}
basic_auth_users: {{{users}}}
""")
    (tmp_path / "exporter.yml").write_text(f"""
socket_dir: {tmp_path}/sockets
state_dir: {tmp_path}/state
servers:
  - name: main
    dsn: service=shop
    password_file: {tmp_path}/password
    interval: 200ms
    log: {{files: ['{tmp_path}/server.log'], interval: 200ms, timeout: 150ms}}
  - name: down
    dsn: postgresql://exporter@127.0.0.1:{free_port()}/postgres
    password_file: {tmp_path}/password
    interval: 200ms
    timeout: 150ms
pgbouncers:
  - name: bouncer
    dsn: postgresql://exporter@127.0.0.1:{free_port()}/pgbouncer
    password_file: {tmp_path}/password
    interval: 200ms
    timeout: 150ms
apps:
  - name: orders
    targets: ['https://127.0.0.1:{port}/metrics']
    basic_auth: {{username: exporter, password_file: {tmp_path}/password}}
    tls_config: {{ca_file: {tmp_path}/ca.pem}}
    interval: 200ms
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

    def polled() -> bool:
        text = log.read_text()
        return all(part in text for part in POLLED)

    services = {"PGSERVICEFILE": str(tmp_path / "services")}
    with running(command, log=log, environment=services) as process:
        seconds_until(polled, "all targets are polled", 20)
        process.send_signal(signal.SIGHUP)
        seconds_until(lambda: "configuration loaded" in log.read_text(), "it reloads", 10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    opened = [line for line in log.read_text().splitlines() if line.startswith("ON THE LOOP")]
    assert opened == []
