"""Places where addresses are looked up, in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from pg_pool_exporter.config import load
from support.configuration import SECRET, mistakes, write


def test_places_where_addresses_are_looked_up(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        apps:
          - name: orders
            scheme: https
            metrics_path: /actuator/prometheus
            file_sd: [targets/*.json, /etc/pools/*.YAML]
            http_sd: [{url: "http://sd:8080"}, {url: "http://sd:8080/x", refresh_interval: 5m}]
            dns_sd:
              - names: [_pools._tcp.example.org]
              - {names: [web.example.org], type: AAAA, port: 9187, refresh_interval: 1d}
        """,
    )
    (app,) = load(path).apps
    assert app.file_sd == (f"{tmp_path}/targets/*.json", "/etc/pools/*.YAML")
    assert [(one.url, one.refresh_interval) for one in app.http_sd] == [
        ("http://sd:8080/", 60.0),
        ("http://sd:8080/x", 300.0),
    ]
    assert [(one.names, one.type, one.port, one.refresh_interval) for one in app.dns_sd] == [
        (("_pools._tcp.example.org",), "SRV", None, 30.0),
        (("web.example.org",), "AAAA", 9187, 86_400.0),
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("file_sd: [targets.txt]", "file_sd[0]: must end in .json, .yml, .yaml"),
        ("file_sd: targets.json", "file_sd: must be a list"),
        ("file_sd: [a.json, a.json]", "file_sd: must not repeat an entry"),
        ("http_sd: [{url: 'ftp://sd'}]", "http_sd[0].url: must be a URL, like http://"),
        (f"http_sd: [{{url: 'http://u:{SECRET}@sd'}}]", "must not hold a user or a password"),
        ("http_sd: [{url: 'http://sd'}, {url: 'http://sd/'}]", "http_sd: must not repeat"),
        ("http_sd: [{url: 'http://sd', refresh_interval: 100ms}]", "must be from 1s to 1d"),
        (
            f"http_sd: [{{url: 'http://sd', headers: {{Authorization: {SECRET}}}}}]",
            "http_sd[0].headers.Authorization: must not hold Authorization: use basic_auth or",
        ),
        (
            f"http_sd: [{{url: 'http://sd', headers: {{X-Key: '{SECRET}ü'}}}}]",
            "http_sd[0].headers.X-Key: must be at most 4096 printable ASCII characters",
        ),
        (
            "http_sd: [{url: 'http://sd', headers: {x-prometheus-refresh-interval-seconds: '1'}}]",
            "http_sd[0].headers: must not hold X-Prometheus-Refresh-Interval-Seconds: the exporter",
        ),
        (
            f"http_sd: [{{url: 'http://sd', bearer_token_file: {SECRET}}}]",
            "http_sd[0].bearer_token_file: names a file that cannot be read: No such file",
        ),
        (
            "http_sd: [{url: 'https://sd', tls_config: {insecure_skip_verify: true}}]",
            "http_sd[0].tls_config.insecure_skip_verify: is an unknown key",
        ),
        ("dns_sd: [{}]", "dns_sd[0].names: is required"),
        ("dns_sd: [{names: []}]", "dns_sd[0].names: must have at least one name"),
        ("dns_sd: [{names: ['a b']}]", "dns_sd[0].names[0]: must be a name in DNS"),
        ("dns_sd: [{names: ['a..b']}]", "dns_sd[0].names[0]: must be a name in DNS"),
        ("dns_sd: [{names: [a], type: MX}]", "must be one of 'SRV', 'A' or 'AAAA'"),
        ("dns_sd: [{names: [a], type: A}]", "dns_sd[0].type: must have a port"),
        ("dns_sd: [{names: [a], port: 80}]", "dns_sd[0].type: must be A or AAAA with a port"),
        ("dns_sd: [{names: [a, a]}]", "dns_sd: must not repeat an entry"),
        ("scheme: ftp", "scheme: must be one of 'http' or 'https'"),
        ("metrics_path: metrics", "metrics_path: must be a path, like /metrics, without ? and #"),
    ],
)
def test_mistakes_about_places_are_reported(tmp_path: Path, keys: str, message: str) -> None:
    path = write(tmp_path, f"apps:\n  - name: orders\n    {keys}\n")
    (mistake,) = mistakes(path)
    assert mistake.startswith("3: apps[0].")
    assert message in mistake
    assert SECRET not in mistake


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("namespaces: [Shop]", "namespaces[0]: must be the name of a namespace"),
        ("namespaces: [a, a]", "namespaces: must not repeat an entry"),
        ("label_selector: ''", "label_selector: must be a label selector"),
        ("port: 0", "port: must be from 1 to 65535"),
        ("port: Metrics_Port", "port: must be a number, or the name"),
        ("api_server: ftp://x", "api_server: must be a URL"),
        ("api_server: 'https://x?token=hunter2'", "api_server: must have no query"),
        ("api_server: 'https://u:hunter2@x'", "api_server: must not hold a user or a password"),
        ("bearer_token_file: config.yaml", "must be left out without api_server"),
        ("selector: app=orders", "selector: is an unknown key; did you mean label_selector?"),
        (
            "api_server: 'http://api.example', bearer_token_file: config.yaml",
            "must have an https api_server",
        ),
    ],
)
def test_a_wrong_watch_of_pods_is_refused(tmp_path: Path, keys: str, message: str) -> None:
    text = f"apps: [{{name: orders, kubernetes_sd: [{{{keys}}}]}}]"
    (mistake,) = mistakes(write(tmp_path, text))
    assert message in mistake
