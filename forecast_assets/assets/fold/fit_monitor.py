"""Log and track the epochs of a fold's fits while they run, wherever that is."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from forecast_assets.assets.fold.fold_work import FoldWork, Running

if TYPE_CHECKING:
    from forecast_assets.core.training.fit import Fit
    from forecast_assets.resources.tracking import Log, TrackingResource


class FitMonitor:
    """Follows the fits of one model on one fold: each fit is a tracked run, each epoch is logged once.

    A fit that restarts on another machine reports its finished epochs again; with another batch size, it has new ones.
    """

    def __init__(
        self, work: FoldWork, seeds: Sequence[int], *, tracking: "TrackingResource", log: logging.Logger
    ) -> None:
        self._work, self._seeds, self._tracking, self._log = work, seeds, tracking, log
        self._runs: dict[int, tuple[ExitStack, Log]] = {}
        self._reported: dict[int, int] = {}
        self.running: dict[int, str] = {}
        """By position of the fit: what of a model of one's own runs now."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stack, _ in self._runs.values():
            stack.__exit__(kind, error, trace)

    def on_message(self, position: int, message: "Mapping[str, float] | str | Running") -> None:
        """Log an epoch's metrics, or a warning, of the fit at ``position``; note what runs."""
        if isinstance(message, Running):
            self.running[position] = message.function
            return
        seed = self._seeds[position]
        name = f"{self._work.name} {self._work.year} seed {seed}"
        if isinstance(message, str):
            self._reported.pop(seed, None)
            self._log.warning(f"{name}: {message}")
            return
        epoch = int(message["epoch"])
        if epoch <= self._reported.get(seed, -1):
            return
        self._reported[seed] = epoch
        self._record(seed)(message)
        self._log.debug(
            f"{name}: epoch {epoch + 1} of {self._work.spec.most_epochs}, "
            f"validation pinball {message['validation_pinball']:.5f}, {message['seconds']:.0f} s"
        )

    def on_fit_end(self, seed: int, trained: "Fit") -> None:
        """Log the result of the fit of ``seed`` and close its tracked run."""
        if seed in self._runs:
            self._runs.pop(seed)[0].close()
        self._log.info(
            f"{self._work.name} {self._work.year} seed {seed}: validation pinball {trained.validation_pinball:.5f} "
            f"(epoch {trained.best_epoch + 1} of {len(trained.curve)}, {trained.curve[-1]['seconds']:.1f} s)"
            + ("" if trained.location is None else f"; location {trained.location.in_words()}")
        )

    def _record(self, seed: int) -> "Log":
        if seed not in self._runs:
            work, stack = self._work, ExitStack()
            config: dict[str, Any] = {"model": work.name, "year": work.year, "seed": seed, "lookback": work.lookback}
            config |= work.spec.model_dump()
            run = self._tracking.run(
                name=f"{work.name}/{work.year}/{seed}", group=work.name, config=config, log=self._log
            )
            self._runs[seed] = (stack, stack.enter_context(run))
        return self._runs[seed][1]
