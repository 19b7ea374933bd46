"""What surfaces look like: the pictures of walls, grounds, plants and signs, drawn by rules."""
