"""A trained network as it is used: folded, written for other runtimes, and answered by the fastest."""
