"""Claims of lecture notes, measured: what is trained, what is compared, and what would have proved them wrong."""
