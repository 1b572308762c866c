"""The Temporal Fusion Transformer (Lim et al. 2021): pytorch-forecasting's network, executed several times faster."""
