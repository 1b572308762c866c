"""Versioned artefacts: immutable versions, manifest last, atomic CURRENT. Knows no Dagster."""
