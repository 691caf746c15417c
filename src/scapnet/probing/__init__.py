"""A frozen backbone with a linear classifier: what fine-tuning and parts have to be ahead of."""
