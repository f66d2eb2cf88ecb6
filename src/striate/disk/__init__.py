"""Files on the disk, read within bounds.  Imports no torch."""
