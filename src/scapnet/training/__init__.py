"""The training loop, the optimizer and schedule that it uses, and the run folder that it writes."""
