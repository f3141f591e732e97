"""The exporter itself."""

from __future__ import annotations

from pg_pool_exporter.metrics.catalogue.metric import family

# Known values of the label, whose counters exist from 0 from the first moment.
POLL_FAILURE_REASONS = (
    "timeout", "refused", "auth", "protocol", "too_large", "too_many_connections", "permission",
    "other",
)  # fmt: skip

_exporter = family("exporter", "pg_pool_exporter")

_TARGET = ("target", "kind")
BUILD_INFO = _exporter("gauge", "build_info", "1; the exporter's version.", "version", "python")
TARGET_UP = _exporter(
    "gauge", "target_up", "1 when the last poll of the target succeeded, else 0.", *_TARGET
)
POLLS = _exporter("counter", "polls_total", "Polls of the target.", *_TARGET)
POLL_FAILURES = _exporter(
    "counter", "poll_failures_total", "Polls of the target that failed.", *_TARGET, "reason"
)
POLL_DURATION = _exporter(
    "gauge", "poll_duration_seconds", "Duration of the last poll of the target.", *_TARGET
)
LAST_SUCCESS = _exporter(
    "gauge", "last_success_timestamp_seconds",
    "Time of the last successful poll of the target, since the epoch; absent before the first.",
    *_TARGET,
)  # fmt: skip
SERIES_FOLDED = _exporter(
    "gauge", "series_folded",
    "Groups of the target (sessions' groups, pools, sites) that are folded into other, or left "
    "out because they are over a cap.",
    *_TARGET,
)  # fmt: skip
ANALYSIS_FAILURES = _exporter(
    "counter", "analysis_failures_total",
    "Faults of the exporter itself in an analysis. A fault costs that analysis only.",
    "analysis",
)  # fmt: skip
RELOAD_SUCCESSFUL = _exporter(
    "gauge",
    "config_last_reload_successful",
    "1 when the last (re)load of the configuration worked.",
)
RELOAD_TIMESTAMP = _exporter(
    "gauge", "config_last_reload_success_timestamp_seconds",
    "Time of the last (re)load of the configuration that worked, since the epoch.",
)  # fmt: skip
_PLACE = ("app", "mechanism", "place")
DISCOVERY_UP = _exporter(
    "gauge", "discovery_up",
    "1 when the last look-up of targets worked, else 0: then the former ones, or some of them, "
    "are polled.",
    *_PLACE,
)  # fmt: skip
DISCOVERY_TARGETS = _exporter(
    "gauge", "discovery_targets", "Targets that are known by looking them up.", *_PLACE
)
LOG_BYTES = _exporter("counter", "log_bytes_total", "Bytes read of the server's log.", *_TARGET)
LOG_LAG = _exporter(
    "gauge", "log_lag_bytes", "Bytes of the server's log that are not read yet.", *_TARGET
)
LOG_STATE_SAVED = _exporter(
    "gauge", "log_state_saved",
    "1 when the position in the server's log and its counts were saved for a restart, else 0; "
    "absent without a state directory.",
    *_TARGET,
)  # fmt: skip
