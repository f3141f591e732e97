"""Datadog's check, as its agent runs it, of the instance that is its argument, in JSON.

Prints the names of the metrics that it submits.
"""

import json
import sys
from importlib import import_module

# Has no types, and is installed in CI only.
checks = import_module("datadog_checks.base")
aggregator = import_module("datadog_checks.base.stubs").aggregator

check = checks.OpenMetricsBaseCheckV2("openmetrics", {}, [json.loads(sys.argv[1])])
if failure := check.run():
    sys.exit(failure)
json.dump(sorted(aggregator.metric_names), sys.stdout)
