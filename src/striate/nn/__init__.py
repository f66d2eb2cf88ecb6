"""Only what torch.nn lacks, as ordinary modules."""
