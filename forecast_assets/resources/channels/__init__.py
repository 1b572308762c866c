"""The channels that alerts are sent to: one module per channel, one table of them."""
