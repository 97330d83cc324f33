"""Work cut into pieces, as tests of pieces and of interrupts need it."""

from contextlib import contextmanager

from minibatch._problems import pieces


def small_pieces(monkeypatch, work):
    monkeypatch.setattr(pieces, "WORK_AT_ONCE", work)


@contextmanager
def calls_of(monkeypatch, module, name):
    """The arguments of every call of a kernel."""
    calls, kernel = [], getattr(module, name)

    def counted(*args):
        calls.append(args)
        return kernel(*args)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, counted)
        yield calls
