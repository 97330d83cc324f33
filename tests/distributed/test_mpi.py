"""Workers that are processes of ``mpirun``: the models, and what becomes of the others when one fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mpi4py")
MPIRUN = shutil.which("mpirun", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
pytestmark = pytest.mark.skipif(MPIRUN is None, reason="needs mpirun")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("gradients", 3),
        *(
            pytest.param(*of, marks=pytest.mark.slow)
            for of in (("parameters", 2), ("sources", 2), ("errors", 2), ("interrupted", 3), ("stopped", 3))
        ),
    ],
)
def test_ranks(name, number, tmp_path):
    program = [sys.executable, "-m", "mpi4py", str(Path(__file__).with_name("on_ranks.py")), name, str(tmp_path)]
    ran = subprocess.run([MPIRUN, "-n", str(number), *program], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
