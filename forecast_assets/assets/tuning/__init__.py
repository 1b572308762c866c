"""The search for settings on the years before the first test year."""
