"""What `rialto bench` measures with; nothing else uses it."""
