"""Readers of files as people have them: one for text, one for Parquet, and the layouts that either may have."""
