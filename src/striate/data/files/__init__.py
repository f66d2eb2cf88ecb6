"""Files on disk: found, recognized, and what is wrong with them."""
