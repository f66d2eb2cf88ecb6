"""The HTTP service and its page; it knows a bundle, nothing of training."""
