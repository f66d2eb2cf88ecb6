"""Text as it is shown.  Imports nothing of striate."""
