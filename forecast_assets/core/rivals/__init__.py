"""Forecasts that a user brings in a file, of somebody else's model: read, placed at our forecast origins, scored."""
