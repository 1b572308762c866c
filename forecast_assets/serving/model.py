"""Opening a bundle as the service's model; imported lazily, since it loads torch's compiler."""

from forecast_assets.serving.snapshot import Model
from forecast_assets.store.versions import Version


def open_model(version: Version) -> Model:
    """Open the bundle of a ``serving_model`` version. Raises CorruptArtefact as ``Bundle.open``."""
    import torch

    from forecast_assets.champion.bundle import Bundle

    # A batch's tensors are small: a second thread gains little and takes the core that answers requests.
    torch.set_num_threads(1)
    return Bundle.open(version)
