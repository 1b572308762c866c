"""Faults on purpose: processes killed at random, disks that fill up, bytes that flip, launches that race."""
