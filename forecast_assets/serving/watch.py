"""Hot swap: poll the store, and replace the snapshot that is served when there is something new."""

import asyncio
import datetime as dt
import logging
from concurrent.futures import ThreadPoolExecutor

from forecast_assets.core.windows.days import to_date
from forecast_assets.serving.freshness import Deadline, staleness
from forecast_assets.serving.http_error import HttpError
from forecast_assets.serving.loading import Loader
from forecast_assets.serving.metrics import Metrics
from forecast_assets.serving.snapshot import Snapshot

log = logging.getLogger(__name__)


class Watch:
    """Holds the current snapshot. A request keeps the one that it took: nothing is changed in place."""

    def __init__(self, loader: Loader, *, metrics: Metrics, every_seconds: float, deadline: Deadline) -> None:
        self.loader = loader
        self._deadline = deadline
        self._metrics = metrics
        self._every_seconds = every_seconds
        self.current: Snapshot | None = None  # what is served, if anything
        self.problems: list[str] = []  # one sentence for each current version that is not served
        self.stale: str | None = None  # a sentence where the last night is older than the newest session due
        # One thread: the allocator keeps memory per thread, and each thread of a pool would keep that of a whole model.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watch")

    @property
    def snapshot(self) -> Snapshot:
        """The current snapshot. Raises HttpError (503) while there is none."""
        if self.current is None:
            sentence = "There is nothing to serve yet; materialise serving_model or nightly_forecast."
            raise HttpError(503, "not_ready", sentence)
        return self.current

    async def poll(self) -> None:
        """Check the store once, in a thread of its own so that requests go on."""
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(self._thread, self.loader.refresh)
            self.problems = self.loader.problems  # of the same poll as the snapshot
            self._metrics.refused.set(len(self.problems))
            if made is not None:
                self.current = made
                self._metrics.swaps.inc()
                log.info("serving snapshot %s (night %s)", made.id, made.night)
            self.stale = await loop.run_in_executor(self._thread, self._staleness)
        except Exception:
            # A boundary: an unreachable store, or a bug. The snapshot stays valid, the failure is counted and logged, and
            # polling goes on: if it stopped here, old forecasts would be served for ever.
            self._metrics.failures.inc()
            log.exception("the store could not be read")

    def _staleness(self) -> str | None:
        """Return what is late about the snapshot that is served."""
        snapshot = self.current
        if snapshot is None:
            return None
        newest = snapshot.newest_issued_day
        return staleness(
            night=None if snapshot.night is None else dt.date.fromisoformat(snapshot.night),
            newest=None if newest is None else to_date(newest),
            panel_end=self.loader.panel_end,
            due=self._deadline.session(snapshot.exchanges),
        )

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            while True:
                await asyncio.sleep(self._every_seconds)
                await self.poll()
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)
