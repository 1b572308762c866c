"""A simulated deployment, driven from one integer: nights on the real store, faults, and what must hold after each step."""
