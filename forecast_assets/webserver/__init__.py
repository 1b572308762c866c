"""Dagster's own webserver behind a guard against requests of other sites' pages."""
