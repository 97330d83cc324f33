"""What the first fit on a machine waits for: a new process with an empty Numba cache compiles all that it needs."""

import os
import subprocess
import sys
from itertools import count

import pytest

FITS = {
    "linear": "from minibatch import MiniBatchSGDClassifier as Model",
    "network": "from minibatch import MiniBatchMLPClassifier as Model",
}


@pytest.mark.parametrize("model", FITS)
def test_first_fit(benchmark, model, tmp_path):
    program = f"{FITS[model]}; Model(max_iter=1, tol=None).fit([[0.0], [1.0]] * 50, [0, 1] * 50)"
    caches = (str(tmp_path / str(number)) for number in count())

    def fit():
        environment = os.environ | {"NUMBA_CACHE_DIR": next(caches)}
        subprocess.run([sys.executable, "-W", "ignore", "-c", program], env=environment, check=True)

    benchmark.pedantic(fit, rounds=2)
