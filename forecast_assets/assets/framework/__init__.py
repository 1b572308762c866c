"""What all stages share: the decorator, injected inputs, output, keys and partitions."""
