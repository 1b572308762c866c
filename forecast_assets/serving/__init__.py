"""The champion as one artefact, and the service that answers from it; knows no Dagster."""
