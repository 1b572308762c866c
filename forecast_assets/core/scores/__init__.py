"""How good a forecast or a return series is: numbers in, numbers out."""
