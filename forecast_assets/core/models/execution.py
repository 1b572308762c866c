"""How networks are executed: whether by operations of our own or by torch's."""

import torch
from torch import Tensor


def exporting() -> bool:
    """Return whether the network is being traced or exported, where chunks, whose number would be baked in, are not made."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def own_operations(x: Tensor) -> bool:
    """Return whether operations written for a CPU and one precision may take ``x``."""
    return not x.is_cuda and not torch.is_autocast_enabled(x.device.type)
