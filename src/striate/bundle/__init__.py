"""A bundle: what ships, and answers without torch."""
