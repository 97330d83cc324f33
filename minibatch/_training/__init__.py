"""How a fit runs: the epoch loop, when it stops, how rates and batch sizes come about."""
