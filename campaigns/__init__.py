"""Faults, load and secrets at length: each script tries what a test has no time for, and records what it found."""
