"""Jobs, schedules, sensors and alerts: when the graph runs, and who is notified."""
