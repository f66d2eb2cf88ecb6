"""A network before it runs: its table, cost, receptive field, memory and warnings.  Imports no torch."""
