"""A trained network that answers."""
