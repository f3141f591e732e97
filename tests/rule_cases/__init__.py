"""Cases for each alert: when it fires, and when it must not."""

from rule_cases import bouncers, exporter, leaks, load, requests, servers, sessions, use

CASES = {
    **use.CASES,
    **requests.CASES,
    **leaks.CASES,
    **load.CASES,
    **servers.CASES,
    **sessions.CASES,
    **bouncers.CASES,
    **exporter.CASES,
}
