"""What this machine has, and what it computes how fast."""
