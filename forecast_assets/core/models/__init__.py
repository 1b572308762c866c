"""One forecast interface, many models: networks in ``registry``, the methods they must beat in ``baselines``."""
