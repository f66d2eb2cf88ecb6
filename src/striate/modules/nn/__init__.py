"""Only what torch.nn lacks."""
