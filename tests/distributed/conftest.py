"""Workers on threads of this process, in place of processes."""

from multiprocessing import Pipe
from threading import Thread

import pytest

from minibatch.distributed import _processes as processes
from minibatch.distributed._worker import work


class OnThread:
    """As much of a process as the driver looks at."""

    def __init__(self, connection):
        self._connection, self.pid, self.returncode = connection, 0, 0
        Thread(target=work, args=(connection,), daemon=True).start()

    def kill(self):
        pass

    def wait(self, timeout=None):
        return 0


@pytest.fixture
def on_threads(monkeypatch):
    def start(self, number):
        pipes = [Pipe() for _ in range(number)]
        return [processes._Process(OnThread(there), here) for here, there in pipes]

    monkeypatch.setattr(processes.Processes, "_start", start)
