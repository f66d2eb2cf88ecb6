"""A trained network as it ships."""
