"""What a trained network looks at, as images."""
