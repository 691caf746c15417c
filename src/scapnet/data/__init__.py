"""Data sets, the views made of them, and the built-in drawn finches."""
