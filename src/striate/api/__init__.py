"""striate from Python: what each command does, by one call of its name."""
