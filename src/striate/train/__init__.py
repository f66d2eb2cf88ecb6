"""Training: the recipe, the loop, checkpoints, what comes out and how it predicts."""
