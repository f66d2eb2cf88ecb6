"""Archives, unpacked once into the cache."""
