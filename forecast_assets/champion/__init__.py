"""Who serves and why: the bundle, promotion and rollback, retraining, calibration state."""
