"""Training with several workers, and on rows that are read in pieces: see `fit`."""

from minibatch.distributed._fit import fit
from minibatch.distributed._parquet import ParquetRows
from minibatch.distributed._simulation import simulate_workers
from minibatch.distributed._simulation_result import WorkersSimulation
from minibatch.distributed._sources import ArrayShards

__all__ = ["ArrayShards", "ParquetRows", "WorkersSimulation", "fit", "simulate_workers"]
