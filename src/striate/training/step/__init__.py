"""What one optimizer step does."""
