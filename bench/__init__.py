"""Benchmarks: `python -m bench.NAME` from the root of the repository, see README.md."""

import sys
from pathlib import Path

# They use the same throw-away servers as the tests.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
