"""Is the world still the one the models were fitted on? Distances and limits; whom to tell is decided elsewhere."""
