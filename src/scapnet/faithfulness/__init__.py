"""Whether the parts that a network shows are the basis of its answer, measured on a run's photos."""
