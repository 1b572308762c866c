"""Measured figures: each script writes its own JSON under results/, never by hand."""
