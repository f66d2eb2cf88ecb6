"""One file to one image."""
