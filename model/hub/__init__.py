"""Methods of other people, loaded by torch.hub: which one, how it is loaded, and what it gives."""
