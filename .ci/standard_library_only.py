"""Run where nothing but the bare package is installed: what does the client bring in?"""

import sys
from importlib.metadata import requires

import pg_pool_exporter.client  # noqa: F401 - its import is what is looked at

declared = [one for one in requires("pg-pool-exporter") or [] if "extra ==" not in one]
assert not declared, f"the bare package depends on {declared}"

allowed = {*sys.stdlib_module_names, "pg_pool_exporter", "__main__"}
foreign = {name.partition(".")[0] for name in sys.modules} - allowed
foreign = {
    name for name in foreign if not name.startswith(("_distutils", "distutils-", "__editable"))
}
assert not foreign, f"the client imports {sorted(foreign)}"
