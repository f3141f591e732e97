"""A real API server of Kubernetes on the loopback, with etcd, and no node: no pod runs."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme

from conftest import require
from support.postgres import wait_until
from support.programs import answers, free_port, running

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "tests/cluster/build"
"""Where `make cluster` puts kube-apiserver, helm and the definitions of the operator's types."""
ADMIN = "admin-token"


def program(name: str) -> Path:
    """A program or file that `make cluster` builds."""
    folder = Path(os.environ.get("PGPE_CLUSTER_PROGRAMS", BUILT))
    require((folder / name).exists(), f"{name}, which make cluster builds (four minutes),")
    return folder / name


class RefusedError(Exception):
    """The API server's answer, with its status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class ApiServer:
    """The API server. It can be stopped and started again with what etcd holds."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._etcd = f"http://127.0.0.1:{free_port()}"
        self._etcd_peer = f"http://127.0.0.1:{free_port()}"
        authority = trustme.CA()
        self.ca_file = directory / "ca.crt"
        authority.cert_pem.write_to_path(self.ca_file)
        served = authority.issue_cert("127.0.0.1")
        served.private_key_pem.write_to_path(directory / "tls.key")
        with (directory / "tls.crt").open("wb") as file:
            file.writelines(blob.bytes() for blob in served.cert_chain_pems)
        subprocess.run(
            ["openssl", "genrsa", "-out", directory / "accounts.key", "2048"],
            check=True, capture_output=True,
        )  # fmt: skip
        (directory / "tokens.csv").write_text(f'{ADMIN},admin,admin,"system:masters"\n')
        self._context = ssl.create_default_context(cafile=self.ca_file)

    @contextmanager
    def etcd(self) -> Iterator[None]:
        """etcd, until the block is left."""
        command = [
            "etcd", f"--data-dir={self.directory}/etcd", f"--listen-client-urls={self._etcd}",
            f"--advertise-client-urls={self._etcd}", f"--listen-peer-urls={self._etcd_peer}",
            f"--initial-advertise-peer-urls={self._etcd_peer}",
            f"--initial-cluster=default={self._etcd_peer}", "--unsafe-no-fsync",
        ]  # fmt: skip
        # Of 3.4 the last flag is unknown: then fsync it is.
        if (
            "unsafe-no-fsync"
            not in subprocess.run(
                ["etcd", "--help"], capture_output=True, text=True, check=False
            ).stdout
        ):
            command.pop()
        with running(command, log=self.directory / "etcd.log"):
            wait_until(lambda: answers(f"{self._etcd}/health"), "etcd answers")
            yield

    def compact(self) -> None:
        """Let etcd forget all that is not current, as it does every five minutes."""

        def ask(path: str, body: Mapping[str, object]) -> Any:
            request = urllib.request.Request(
                f"{self._etcd}{path}", data=json.dumps(body).encode(), method="POST"
            )
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)

        now = ask("/v3/kv/range", {"key": "AA=="})["header"]["revision"]
        ask("/v3/kv/compaction", {"revision": now, "physical": True})

    @contextmanager
    def started(self) -> Iterator[None]:
        """The API server, until the block is left."""
        command: list[str | Path] = [
            program("kube-apiserver"), f"--etcd-servers={self._etcd}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self.directory}/tls.crt",
            f"--tls-private-key-file={self.directory}/tls.key",
            f"--cert-dir={self.directory}", "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.directory}/accounts.key",
            f"--service-account-signing-key-file={self.directory}/accounts.key",
            f"--token-auth-file={self.directory}/tokens.csv", "--authorization-mode=RBAC",
            # Nobody makes the accounts and tokens that it looks for.
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
        ]  # fmt: skip
        with running(command, log=self.directory / "apiserver.log"):
            wait_until(self._is_ready, "the API server is ready", 120)
            yield

    def _is_ready(self) -> bool:
        try:
            return bool(self.call("GET", "/readyz", raw=True) == "ok")
        except (OSError, RefusedError):
            return False

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str = ADMIN,
        raw: bool = False,
        kind: str = "application/json",
    ) -> Any:
        """The answer, as a document. Raises `RefusedError`."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": kind},
        )
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=30) as response:
                text = response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                message = error.read().decode(errors="replace")
            raise RefusedError(error.code, message) from None
        return text if raw else json.loads(text)

    def create(self, collection: str, document: Mapping[str, Any]) -> Any:
        """A new object in `collection`, like /api/v1/namespaces."""
        return self.call("POST", collection, document)

    def make_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """A namespace."""
        self.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels or {}}})

    def make_pod(
        self,
        name: str,
        address: str,
        *,
        namespace: str = "shop",
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        ports: tuple[Mapping[str, Any], ...] = (),
        phase: str = "Running",
    ) -> None:
        """A pod with this address, as a node would report it."""
        pods = f"/api/v1/namespaces/{namespace}/pods"
        container = {"name": "app", "image": "none", "ports": [*ports]}
        meta = {"name": name, "labels": labels or {}, "annotations": annotations or {}}
        self.create(pods, {"metadata": meta, "spec": {"containers": [container]}})
        self.set_pod(name, address, namespace=namespace, phase=phase)

    def set_pod(
        self, name: str, address: str, *, namespace: str = "shop", phase: str = "Running"
    ) -> None:
        """Set a pod's address and phase."""
        ips = [{"ip": address}] if address else []
        status = {"phase": phase, "podIP": address or None, "podIPs": ips}
        self.call(
            "PATCH", f"/api/v1/namespaces/{namespace}/pods/{name}/status", {"status": status},
            kind="application/merge-patch+json",
        )  # fmt: skip

    def delete_pod(self, name: str, namespace: str = "shop") -> None:
        """Delete it at once: there is no node that could end it."""
        self.call(
            "DELETE",
            f"/api/v1/namespaces/{namespace}/pods/{name}",
            {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0},
        )

    def token(self, account: str, namespace: str, seconds: int = 600) -> str:
        """A real token of a service account."""
        granted = self.call(
            "POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
            {"spec": {"expirationSeconds": seconds}},
        )  # fmt: skip
        return str(granted["status"]["token"])

    def make_account(self, name: str, namespace: str) -> None:
        """A service account without rights."""
        self.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})

    def allow(self, account: str, account_namespace: str, namespace: str) -> None:
        """Let a service account list and watch the pods of a namespace."""
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}
        self.create(f"{rbac}/roles", {"metadata": {"name": account}, "rules": [rule]})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account}
        who = {"kind": "ServiceAccount", "name": account, "namespace": account_namespace}
        self.create(
            f"{rbac}/rolebindings",
            {"metadata": {"name": account}, "roleRef": role, "subjects": [who]},
        )

    def revoke(self, account: str, namespace: str) -> None:
        """Take back what `allow` has given."""
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        self.call("DELETE", f"{rbac}/rolebindings/{account}")


@contextmanager
def api_server(directory: Path) -> Iterator[ApiServer]:
    """A running API server with an etcd of its own."""
    require(shutil.which("etcd"), "Debian's package etcd-server")
    program("kube-apiserver")
    server = ApiServer(directory)
    with server.etcd(), server.started():
        yield server
