"""The stages of the graph: one thin module for each, which says what is made, not how."""
