"""From coarse to fine over recipe and holes; cross-validation."""
