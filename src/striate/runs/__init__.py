"""The run folder: what a training leaves behind.  Imports no torch."""
