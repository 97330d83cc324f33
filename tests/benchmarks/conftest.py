"""benchmarks/speed is a folder of scripts: its modules import each other by their bare names."""

import sys
from pathlib import Path

SPEED = Path(__file__).parents[2] / "benchmarks" / "speed"
if SPEED.is_dir():
    sys.path.append(str(SPEED))
