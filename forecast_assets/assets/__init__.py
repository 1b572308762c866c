"""What: one thin module per stage of the graph."""
