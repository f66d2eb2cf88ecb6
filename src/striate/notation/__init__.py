"""Text to network and back, with places for errors."""
