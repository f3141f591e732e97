"""The Helm chart: rendered, checked, and installed on a real API server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from conftest import require
from pg_pool_exporter import __version__
from pg_pool_exporter.commands.command_line import parse
from pg_pool_exporter.config import load
from support.helm import CHART, helm, objects, of_kind
from support.kubernetes import ADMIN, ApiServer, RefusedError, api_server, program
from support.postgres import wait_until
from support.programs import PROMTOOL

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests/golden/chart"
VALUES = sorted((CHART / "ci").iterdir())
_VALUES = pytest.mark.parametrize("values", VALUES, ids=lambda one: one.stem)
_WORKLOADS = ("Deployment", "StatefulSet")


def test_the_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


@pytest.mark.cluster
def test_a_packaged_chart_holds_the_rules_and_dashboards(tmp_path: Path) -> None:
    """In the repository they are links to the originals."""
    done = helm("package", CHART, f"--destination={tmp_path}")
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        inside = {
            name.partition("/files/")[2]: archive.extractfile(name).read()  # type: ignore[union-attr]
            for name in archive.getnames()
            if "/files/" in name
        }
        assert not any("/ci/" in name for name in archive.getnames())
    originals = {
        f"{folder}/{path.name}": path.read_bytes()
        for folder, source, pattern in (
            ("rules", "deploy/prometheus", "*.yml"),
            ("dashboards", "dashboards", "*.json"),
        )
        for path in (ROOT / source).glob(pattern)
    }
    assert len(originals) >= 10
    assert inside == originals


def test_every_value_is_in_the_schema_and_valid() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(values, schema)
    assert set(schema["properties"]) - {"global"} == set(values)
    for key, value in values.items():
        if "additionalProperties" in schema["properties"][key] and isinstance(value, dict):
            known = schema["properties"][key].get("properties", value)
            assert set(value) <= set(known), key


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("setting", "facts"),
    [
        ("replcas=2", ["replcas"]),
        ("replicas=-1", ["replicas", "minimum"]),
        ("shards=0", ["shards", "minimum"]),
        ("image.pullPolicy=Sometimes", ["pullPolicy", "IfNotPresent"]),
        ("serviceMonitor.interval=15", ["interval"]),
        ("config.servers[0].name=main", ["dsn"]),
        ("config.server[0].name=main", ["server"]),
        ("extraArgs[0]=log.level=debug", ["extraArgs"]),
        ("dashboardUrl=grafana.example", ["dashboardUrl", "https?"]),
        ("prometheusRule.enabled=true,prometheusRule.thresholds.pool_use=1", ["pool_use: unknown"]),
    ],
)
def test_a_wrong_value_is_refused(setting: str, facts: list[str]) -> None:
    done = helm("template", "pools", CHART, f"--set={setting}")
    assert done.returncode != 0
    for fact in facts:
        assert fact in done.stderr


@pytest.mark.cluster
@pytest.mark.parametrize(
    "dsn", ["postgresql://u:hunter2@db/x", "host=db password=hunter2", "postgresql://db?password=x"]
)
def test_a_password_in_a_dsn_is_refused(tmp_path: Path, dsn: str) -> None:
    """It would be in a ConfigMap."""
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"config": {"servers": [{"name": "main", "dsn": dsn}]}}))
    done = helm("template", "pools", CHART, f"--values={values}")
    assert done.returncode != 0
    assert "dsn" in done.stderr


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("watched", "rbac", "facts"),
    [
        ({}, {}, ["without namespaces", "rbac.clusterWide=true"]),
        ({}, {"namespaces": ["shop"]}, ["without namespaces", "rbac.clusterWide=true"]),
        ({"namespaces": ["shop", "web"]}, {"namespaces": ["shop"]}, ["namespace web", "add it"]),
    ],
)
def test_rights_that_do_not_allow_what_is_watched_are_refused(
    tmp_path: Path, watched: dict[str, Any], rbac: dict[str, Any], facts: list[str]
) -> None:
    done = helm("template", "pools", CHART, f"--values={_watching(tmp_path, watched, rbac)}")
    assert done.returncode != 0
    for fact in facts:
        assert fact in done.stderr


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("watched", "rbac", "roles"),
    [
        ({"namespaces": ["shop", "web"]}, {}, ["shop", "web"]),
        ({"namespaces": ["shop"]}, {"namespaces": ["shop", "web"]}, ["shop", "web"]),
        ({}, {"clusterWide": True}, []),
        ({}, {"clusterWide": True, "namespaces": ["shop"]}, []),
        ({}, {"create": False}, []),
        ({"api_server": "https://other.example"}, {}, []),
    ],
)
def test_rights_that_allow_what_is_watched_are_made(
    tmp_path: Path, watched: dict[str, Any], rbac: dict[str, Any], roles: list[str]
) -> None:
    made = objects(f"--values={_watching(tmp_path, watched, rbac)}")
    assert [one["metadata"]["namespace"] for one in made if one["kind"] == "Role"] == roles
    wide = [one for one in made if one["kind"] == "ClusterRole"]
    assert len(wide) == bool(rbac.get("clusterWide"))


def _watching(folder: Path, watched: dict[str, Any], rbac: dict[str, Any]) -> Path:
    """Values for an application whose pods are found."""
    app = {"name": "orders", "kubernetes_sd": [{"label_selector": "app=orders", **watched}]}
    values = folder / "values.yaml"
    values.write_text(yaml.safe_dump({"config": {"apps": [app]}, "rbac": rbac}))
    return values


@pytest.mark.cluster
@_VALUES
def test_the_chart_is_rendered_as_before(values: Path) -> None:
    """After a wanted change: UPDATE_GOLDEN=1 pytest tests/test_chart.py, and look at the diff."""
    # Rules and dashboards are compared with their own files.
    documents = [
        one
        for one in objects(f"--values={values}")
        if "grafana_dashboard" not in one["metadata"].get("labels", {})
    ]
    for one in documents:
        if one["kind"] == "PrometheusRule":
            one["spec"]["groups"] = "those of deploy/prometheus"
    text = yaml.safe_dump_all(documents, sort_keys=False)
    golden = GOLDEN / values.name
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.cluster
@_VALUES
def test_lint_finds_nothing(values: Path) -> None:
    done = helm("lint", "--strict", CHART, f"--values={values}")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.cluster
@_VALUES
def test_the_exporter_accepts_its_flags_and_its_configuration(values: Path, tmp_path: Path) -> None:
    documents = objects(f"--values={values}")
    pod = of_kind(documents, *_WORKLOADS)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    arguments = [one.replace("$(SHARD)", "1") for one in container["args"]]
    options = parse(arguments, {})
    assert options.config_file == Path("/etc/pg-pool-exporter/config.yaml")
    if values.stem == "full-values":
        assert options.web_runbook_url == "https://wiki.example/runbooks"
        assert options.web_dashboard_url == "https://grafana.example"
    (config,) = (
        document["data"]["config.yaml"]
        for document in documents
        if document["kind"] == "ConfigMap" and "config.yaml" in document["data"]
    )
    # The files of Secrets are not here.
    file = tmp_path / "config.yaml"
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    file.write_text(config.replace("/run/secrets/pg-pool-exporter/postgres/password", str(secret)))
    load(file)


@pytest.mark.cluster
def test_secrets_are_mounted_where_the_configuration_looks_for_them() -> None:
    documents = objects(f"--values={CHART}/ci/full-values.yaml")
    pod = of_kind(documents, *_WORKLOADS)["spec"]["template"]["spec"]
    mounts = {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    secrets = {one["name"]: one["secret"] for one in pod["volumes"] if "secret" in one}
    assert {mounts[name]: secret["secretName"] for name, secret in secrets.items()} == {
        "/run/secrets/pg-pool-exporter/postgres": "postgres",
        "/run/secrets/pg-pool-exporter-web": "web-config",
    }
    assert {secret["defaultMode"] for secret in secrets.values()} == {0o440}


@pytest.mark.cluster
@pytest.mark.parametrize(("values", "token"), [("default", False), ("full", True)])
def test_only_a_pod_that_watches_others_has_a_token(values: str, token: bool) -> None:
    documents = objects(f"--values={CHART}/ci/{values}-values.yaml")
    pod = of_kind(documents, *_WORKLOADS)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is token
    kinds = {document["kind"] for document in documents}
    assert ("Role" in kinds) is token


@pytest.mark.cluster
def test_probes_only_connect_where_the_paths_may_ask_for_a_password() -> None:
    def probes(*arguments: str) -> list[dict[str, Any]]:
        pod = of_kind(objects(*arguments), *_WORKLOADS)["spec"]["template"]["spec"]
        return [pod["containers"][0][one] for one in ("livenessProbe", "readinessProbe")]

    live, ready = probes()
    assert live["httpGet"] == {"path": "/-/healthy", "port": "metrics"}
    assert ready["httpGet"] == {"path": "/-/ready", "port": "metrics"}
    for probe in probes("--set=webConfig.existingSecret=web"):
        assert probe["tcpSocket"] == {"port": "metrics"}
        assert "httpGet" not in probe


@pytest.mark.cluster
def test_each_shard_has_its_number_and_the_service_finds_all() -> None:
    documents = objects(f"--values={CHART}/ci/shards-values.yaml")
    workload = of_kind(documents, *_WORKLOADS)
    assert workload["kind"] == "StatefulSet"
    assert (workload["spec"]["replicas"], workload["spec"]["ordinals"]) == (3, {"start": 1})
    container = workload["spec"]["template"]["spec"]["containers"][0]
    assert "--shard=$(SHARD)/3" in container["args"]
    assert container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"].endswith("/pod-index']")
    service = of_kind(documents, "Service")
    selected = service["spec"]["selector"].items()
    assert selected <= workload["spec"]["template"]["metadata"]["labels"].items()
    test = of_kind(documents, "Pod")
    assert not selected <= test["metadata"]["labels"].items()


@pytest.mark.cluster
@pytest.mark.debian
def test_the_rules_inside_are_understood_with_settings_of_ours(tmp_path: Path) -> None:
    require(PROMTOOL.exists(), "Debian's package prometheus")
    rule = of_kind(objects(f"--values={CHART}/ci/full-values.yaml"), "PrometheusRule")
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": rule["spec"]["groups"]}))
    done = subprocess.run(
        [PROMTOOL, "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ours = [
        one
        for path in (ROOT / "deploy/prometheus").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for one in group["rules"]
    ]
    inside = [one for group in rule["spec"]["groups"] for one in group["rules"]]
    assert len(inside) == len(ours)
    assert all(isinstance(one["expr"], str) for one in inside)
    by_record = {one["record"]: one for one in inside if "record" in one}
    assert by_record["pg_pool_exporter:threshold:pool_use_ratio"]["expr"] == "0.9"
    links = by_record["pg_pool_exporter:links:info"]["labels"]
    assert links == {
        "runbooks": "https://wiki.example/runbooks", "dashboards": "https://grafana.example",
    }  # fmt: skip
    # Annotations have Prometheus' templates, which are not Helm's.
    alerts = {one["alert"]: one["annotations"] for one in ours if "alert" in one}
    assert {one["alert"]: one["annotations"] for one in inside if "alert" in one} == alerts


@pytest.mark.cluster
def test_each_dashboard_is_whole() -> None:
    documents = objects("--set=dashboards.enabled=true")
    inside = {
        name.removeprefix("pg-pool-exporter-"): json.loads(text)
        for document in documents
        if "grafana_dashboard" in document["metadata"].get("labels", {})
        for name, text in document["data"].items()
    }
    assert inside == {
        path.name: json.loads(path.read_text()) for path in (ROOT / "dashboards").glob("*.json")
    }


# Those of the Prometheus operator's own definitions that the chart has objects of.
_OPERATOR = {
    "servicemonitors": "ServiceMonitor",
    "podmonitors": "PodMonitor",
    "prometheusrules": "PrometheusRule",
}
# Those of PostgreSQL's operators that the documentation has objects of.
_POSTGRESQL = {
    "Cluster": ("postgresql.cnpg.io_clusters.yaml", "postgresql.cnpg.io/v1", "clusters"),
    "postgresql": ("postgresql.crd.yaml", "acid.zalan.do/v1", "postgresqls"),
}
_COLLECTIONS = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "Service": "/api/v1/namespaces/{}/services",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Pod": "/api/v1/namespaces/{}/pods",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    **{
        kind: f"/apis/monitoring.coreos.com/v1/namespaces/{{}}/{plural}"
        for plural, kind in _OPERATOR.items()
    },
    **{
        kind: f"/apis/{version}/namespaces/{{}}/{plural}"
        for kind, (_, version, plural) in _POSTGRESQL.items()
    },
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server that enforces the restricted pod security standard."""
    with api_server(tmp_path_factory.mktemp("api")) as server:
        files = [f"monitoring.coreos.com_{plural}.yaml" for plural in _OPERATOR]
        for file in (*files, *(file for file, *_ in _POSTGRESQL.values())):
            server.create(
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                yaml.safe_load(program(file).read_text()),
            )
        for namespace in ("monitoring", "shop", "db"):
            server.make_namespace(namespace, {"pod-security.kubernetes.io/enforce": "restricted"})
        for kind in (*_OPERATOR.values(), *_POSTGRESQL):
            path = _COLLECTIONS[kind].format("shop")
            wait_until(partial(_is_served, server, path), "the definitions are served")
        yield server


def _is_served(api: ApiServer, path: str) -> bool:
    try:
        return bool(api.call("GET", path))
    except RefusedError:
        return False


def _on(api: ApiServer, *arguments: str | Path) -> str:
    done = helm(
        *arguments, "--namespace=monitoring", f"--kube-apiserver={api.url}",
        f"--kube-token={ADMIN}", f"--kube-ca-file={api.ca_file}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.mark.cluster
@pytest.mark.slow
@_VALUES
def test_the_server_accepts_every_object_and_knows_every_field(
    api: ApiServer, values: Path
) -> None:
    documents = objects(f"--values={values}")
    assert len(documents) >= 4
    for document in documents:
        # Helm's own, where an object names none.
        namespace = document["metadata"].get("namespace", "monitoring")
        path = _COLLECTIONS[document["kind"]].format(namespace)
        api.create(f"{path}?dryRun=All&fieldValidation=Strict", document)


@pytest.mark.cluster
@pytest.mark.slow
def test_the_objects_of_the_documentation_are_valid_by_the_operators_definitions(
    api: ApiServer,
) -> None:
    page = (ROOT / "docs/how-to/kubernetes.md").read_text()
    documents = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    found = {one["kind"]: one for one in documents if isinstance(one, dict) and "kind" in one}
    assert {"Role", *_POSTGRESQL} == found.keys()
    for kind, document in found.items():
        path = _COLLECTIONS[kind].format(document["metadata"]["namespace"])
        api.create(f"{path}?dryRun=All&fieldValidation=Strict", document)


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "mistake", "facts"),
    [
        ("PrometheusRule", {"groups": [{"name": "x", "rules": [{"expr": 0.5}]}]}, ["expr"]),
        ("ServiceMonitor", {"endpoints": [{"intervall": "15s"}]}, ["intervall", "unknown field"]),
        ("PodMonitor", {"selector": {}, "podMetricsEndpoints": [{"interval": "15"}]}, ["interval"]),
    ],
)
def test_the_operators_definitions_refuse_what_the_operator_would(
    api: ApiServer, kind: str, mistake: dict[str, Any], facts: list[str]
) -> None:
    """So the objects above are valid by them, and not for want of a check."""
    document = of_kind(objects(f"--values={CHART}/ci/full-values.yaml"), kind)
    document["spec"] |= mistake
    path = _COLLECTIONS[kind].format("monitoring")
    with pytest.raises(RefusedError) as refused:
        api.create(f"{path}?dryRun=All&fieldValidation=Strict", document)
    assert all(fact in str(refused.value) for fact in facts)


@pytest.mark.cluster
@pytest.mark.slow
@_VALUES
def test_its_pods_meet_the_restricted_standard(api: ApiServer, values: Path) -> None:
    documents = objects(f"--values={values}")
    template = of_kind(documents, *_WORKLOADS)["spec"]["template"]
    template["metadata"]["name"] = "pod"
    path = "/api/v1/namespaces/monitoring/pods?dryRun=All&fieldValidation=Strict"
    api.create(path, template)
    # It is enforced.
    template["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(RefusedError, match="violates PodSecurity"):
        api.create(path, template)


@pytest.mark.cluster
@pytest.mark.slow
def test_it_is_installed_upgraded_and_leaves_nothing(api: ApiServer) -> None:
    def there() -> set[str]:
        return {
            f"{kind}/{one['metadata']['name']}"
            for kind, path in _COLLECTIONS.items()
            if "{}" in path
            for namespace in ("monitoring", "shop")
            for one in api.call("GET", path.format(namespace))["items"]
            if "pool" in one["metadata"]["name"]
        }

    full, shards = (CHART / "ci" / f"{one}-values.yaml" for one in ("full", "shards"))
    _on(api, "install", "pools", CHART)
    assert "Deployment/pools-pg-pool-exporter" in there()
    _on(api, "upgrade", "pools", CHART, f"--values={full}")
    assert {
        "PrometheusRule/pools-pg-pool-exporter", "ServiceMonitor/pools-pg-pool-exporter",
        "Role/pools-pg-pool-exporter", "ConfigMap/pools-pg-pool-exporter-fleet",
    } <= there()  # fmt: skip
    _on(api, "upgrade", "pools", CHART, f"--values={shards}")
    after = there()
    assert "StatefulSet/pools-pg-pool-exporter" in after
    assert "Deployment/pools-pg-pool-exporter" not in after
    assert "PrometheusRule/pools-pg-pool-exporter" not in after
    _on(api, "uninstall", "pools")
    assert there() == set()


@pytest.mark.cluster
@pytest.mark.slow
def test_its_account_may_watch_pods_where_the_configuration_says_and_nothing_else(
    api: ApiServer,
) -> None:
    _on(api, "install", "pools", CHART, f"--values={CHART}/ci/full-values.yaml")
    token = api.token("pools-pg-pool-exporter", "monitoring")
    api.call("GET", "/api/v1/namespaces/shop/pods", token=token)
    api.call(
        "GET", "/api/v1/namespaces/shop/pods?watch=true&timeoutSeconds=1", token=token, raw=True
    )
    for method, path in (
        ("GET", "/api/v1/namespaces/monitoring/pods"),
        ("GET", "/api/v1/pods"),
        ("GET", "/api/v1/namespaces/shop/secrets"),
        ("GET", "/api/v1/namespaces/shop/pods/any/log"),
        ("DELETE", "/api/v1/namespaces/shop/pods"),
    ):
        with pytest.raises(RefusedError, match=r"403.*cannot"):
            api.call(method, path, token=token)
    _on(api, "uninstall", "pools")
