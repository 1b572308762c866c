"""Raw rows -> typed panel -> sessions of each exchange -> features -> targets. Tables in, tables out; polars throughout."""
