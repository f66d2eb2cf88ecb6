"""Networks of the literature and a few good first ones, each a short text, and their list."""
