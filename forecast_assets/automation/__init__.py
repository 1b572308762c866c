"""When: jobs and the order they run in."""
