"""How: pure functions and modules. Nothing here knows a path, the environment or Dagster."""
