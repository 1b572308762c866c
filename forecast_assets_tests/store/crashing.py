"""Writers to be killed; run as ``python -m forecast_assets_tests.store.crashing MODE ROOT ...``.

publish ROOT COUNT      publish COUNT versions of panel/2019, one line of output after each
die ROOT                publish again and again, dying of SIGKILL before and after every durable step in turn;
                        after each death the store is checked. Prints how often it died.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.published import publish

SHARED = "s" * 50_000


def publish_one(store: Store, number: int) -> None:
    publish(
        store,
        {"shared": SHARED, "number.json": str(number), "big": f"{number:08d}" * 20_000},
        partition="2019",
        key=f"{number % 7:064x}",
    )


def publish_many(root: Path, count: int) -> None:
    store = Store(root)
    for number in range(count):
        publish_one(store, number)
        print(number, flush=True)


def die_at_every_step(root: Path) -> None:
    store = Store(root)
    publish_one(store, 0)
    deaths = 0
    while True:
        child = os.fork()
        if child == 0:
            _die_at(deaths)
            publish_one(Store(root), deaths + 1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        store.current("panel", "2019").check()
        assert store.verify() == []
        if not os.WIFSIGNALED(status):
            assert status == 0
            print(deaths)
            return
        deaths += 1


def _die_at(step: int) -> None:
    """Kill this process at a durable step: 2n is right before the n-th one, 2n + 1 right after it."""
    passed = 0

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal passed
            for now in (True, False):
                if passed == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                passed += 1
                if now:
                    result = real(*args, **kwargs)
            return result

        return call

    for name in ("mkdir", "fsync", "link", "replace"):
        setattr(os, name, dying(getattr(os, name)))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["publish", root, count]:
            publish_many(Path(root), int(count))
        case ["die", root]:
            die_at_every_step(Path(root))
        case _:
            raise SystemExit(__doc__)
