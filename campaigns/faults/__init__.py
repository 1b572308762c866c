"""Fault injection: processes killed at random, disks that fill up, bytes that flip, concurrent launches."""
