"""What a training run is: its state, objective, optimizers and checkpoints, and how ranks share the work."""
