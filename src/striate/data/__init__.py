"""From what a user calls DATA to batches."""
