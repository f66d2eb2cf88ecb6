"""The report: one self-contained page made of a run folder alone.  Imports no torch."""
