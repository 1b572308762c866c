"""From the feature panel to tensors, window batches, samplers and walk-forward folds."""
