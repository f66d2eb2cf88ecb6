"""From data and choices to a finished run."""
