"""What a terminal shows: progress, and one sentence for each fault."""
