"""What a network is, before torch."""
