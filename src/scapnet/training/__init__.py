"""The training loop, what it steps and what it leaves on disk."""
