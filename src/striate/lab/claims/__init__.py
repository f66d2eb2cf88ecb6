"""The claims, a family a file."""
