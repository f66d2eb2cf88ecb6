"""A network on images of one shape."""
