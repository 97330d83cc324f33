"""``python -m minibatch warmup``: compile now what the first fits would compile."""

import argparse
from collections.abc import Sequence

from minibatch._warmup import warm_up
from minibatch.engine.compile import COMPILED
from minibatch.engine.sgd import sgd_epoch


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m minibatch", description="Tools around minibatch.")
    command = parser.add_subparsers(required=True, metavar="command").add_parser(
        "warmup",
        help="compile the kernels of all estimators into the disk cache",
        description="Compile the kernels of all estimators into the disk cache, when an image is built or in CI: fits "
        "of later processes on this kind of processor load them. NUMBA_CACHE_DIR moves the cache.",
    )
    command.add_argument(
        "--dtype", choices=["float32", "float64"], action="append", help="type of X; may be repeated (default: float64)"
    )
    command.add_argument("--sparse", action="store_true", help="for CSR rows too")
    options = parser.parse_args(arguments)
    folder = sgd_epoch.stats.cache_path if COMPILED else None
    if folder is None:
        parser.error("nothing is kept: unset MINIBATCH_NUMBA_CACHE and NUMBA_DISABLE_JIT")
    for dtype in options.dtype or ["float64"]:
        for sparse in [False, True] if options.sparse else [False]:
            print(f"{dtype}, {'CSR' if sparse else 'dense'} rows")
            for name, seconds in warm_up(dtype, sparse=sparse):
                print(f"  {name:<30}{seconds:6.1f} s", flush=True)
    print(f"Kept in {folder}")


if __name__ == "__main__":
    main()
