"""A network before it runs."""
