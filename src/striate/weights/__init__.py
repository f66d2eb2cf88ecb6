"""Weights of other people: read from any file without running its code, and put where they belong."""
