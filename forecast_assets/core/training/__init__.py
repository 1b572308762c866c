"""Fitting networks and combining them. Torch only: runs on a bare CUDA machine."""
