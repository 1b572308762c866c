"""The bundle behind the service's ``Model``, imported only when there is one to open: it brings torch's compiler."""

from forecast_assets.serving.snapshot import Model
from forecast_assets.store.versions import Version


def open_model(version: Version) -> Model:
    """The bundle of a ``serving_model`` version. Raises CorruptArtefact as ``Bundle.open``."""
    from forecast_assets.serving.bundle import Bundle

    return Bundle.open(version)
