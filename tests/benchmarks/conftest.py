"""The folders of benchmarks whose scripts are tested here: their modules import each other by their bare names."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
for folder in (BENCHMARKS / "speed", BENCHMARKS / "papers"):
    if folder.is_dir():
        sys.path.append(str(folder))
