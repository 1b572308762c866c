"""Series of the user's own as columns of the feature panel, each value from the time on at which it was known."""
