"""Every form that DATA may have."""
