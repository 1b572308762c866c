"""Leaks seeded on purpose, one at a time: the suite must catch each of them."""
