"""With what: the environment, the settings, the store behind Dagster, the hardware."""
