"""striate: a convolutional-network workbench."""

__version__ = "0.1.0"
