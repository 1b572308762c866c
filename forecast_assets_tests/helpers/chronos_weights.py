"""Tiny, random weights of both kinds of Chronos models, written as the package's own models write theirs. No result.

The package lies apart from the environment (``Makefile``), and is found from here on by what imports this module.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import torch

APART = Path(sys.prefix) / "chronos"
if APART.is_dir() and str(APART) not in sys.path:
    sys.path.append(str(APART))

HAS_CHRONOS = find_spec("chronos") is not None
WITHOUT = "chronos-forecasting is not installed: `make test` does it, or pip install 'forecast-assets[chronos]'"
"""Why a test of the package is skipped."""

BOLT_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
CHRONOS_2_LEVELS = (0.01, 0.05, *BOLT_LEVELS, 0.95, 0.99)
CONTEXT = 64

SMALL = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
PATCHES = {"context_length": CONTEXT, "input_patch_size": 16, "input_patch_stride": 16, "use_reg_token": True}


def write_bolt(folder: Path, *, size: dict[str, int] | None = None, **changes: object) -> Path:
    """Write a Chronos-Bolt model; ``size``: of its T5, ``changes``: of its ``chronos_config``."""
    from chronos.chronos_bolt import ChronosBoltModelForForecasting
    from transformers import T5Config

    config = T5Config(
        **(size or SMALL),
        vocab_size=2,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        feed_forward_proj="relu",
    )
    config.chronos_config = {**PATCHES, "prediction_length": 64, "quantiles": list(BOLT_LEVELS), **changes}
    config.chronos_pipeline_class = "ChronosBoltPipeline"
    return _saved(ChronosBoltModelForForecasting, config, folder)


def write_chronos_2(folder: Path, *, size: dict[str, int] | None = None, **changes: object) -> Path:
    """Write a Chronos-2 model; ``size``: of its encoder, ``changes``: of its ``chronos_config``."""
    from chronos.chronos2 import Chronos2CoreConfig, Chronos2Model

    parts = {"output_patch_size": 16, "max_output_patches": 4, "use_arcsinh": True, "quantiles": list(CHRONOS_2_LEVELS)}
    config = Chronos2CoreConfig(
        **(size or SMALL), chronos_config={**PATCHES, **parts, **changes}, chronos_pipeline_class="Chronos2Pipeline"
    )
    return _saved(Chronos2Model, config, folder)


def _saved(model: type, config: object, folder: Path) -> Path:
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model(config).save_pretrained(folder)
    return folder
