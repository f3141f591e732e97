"""Cases for each alert: when it fires, and when it must not."""

from rule_cases import bouncers, exporter, findings, leaks, requests, servers, sizes, use

CASES = {
    **use.CASES,
    **requests.CASES,
    **leaks.CASES,
    **servers.CASES,
    **sizes.CASES,
    **bouncers.CASES,
    **exporter.CASES,
    **findings.CASES,
}
