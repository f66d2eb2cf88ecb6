"""The words of an augmentation, one change of a picture a file.  Imports no torch."""
