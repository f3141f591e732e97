"""Every metric once: its name, type, help and labels.

Everything that writes or reads metrics (the client's page, the reader, the exporter's page, the
documentation, rules and dashboards) takes them from here. The standard library only, because the
client imports it.
"""

from pg_pool_exporter.metrics.catalogue.metric import (
    METRICS as METRICS,
    OTHER as OTHER,
    Metric as Metric,
    MetricType as MetricType,
    Section as Section,
)

# In the order of the page: importing a module adds its metrics.
from pg_pool_exporter.metrics.catalogue.pools import *  # isort: skip
from pg_pool_exporter.metrics.catalogue.servers import *  # isort: skip
from pg_pool_exporter.metrics.catalogue.bouncers import *  # isort: skip
from pg_pool_exporter.metrics.catalogue.joined import *  # isort: skip
from pg_pool_exporter.metrics.catalogue.exporter import *  # isort: skip

BY_NAME = {metric.name: metric for metric in METRICS}
