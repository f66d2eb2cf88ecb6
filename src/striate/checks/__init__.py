"""Findings about images."""
