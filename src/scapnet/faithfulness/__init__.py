"""Whether the parts that a network shows are what its answer rests on, measured on a run's photos."""
