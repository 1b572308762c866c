"""From the feature panel to tensors, window indices, samplers and walk-forward folds."""
