"""What a terminal shows: progress, and sentences for what goes wrong."""
