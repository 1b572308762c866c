"""What the raw panel is checked for."""
