"""The layer words and their arithmetic."""
