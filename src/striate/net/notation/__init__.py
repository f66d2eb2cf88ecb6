"""Text to network and back."""
