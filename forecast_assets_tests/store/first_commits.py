"""Commit nights first, as one of several processes: URL, cache, name, nights, processes. Prints what it was told."""

import json
import sys
import time
from pathlib import Path

from forecast_assets.store.keys import sha256_text
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.published import fields, write


def main(url: str, cache: str, name: str, nights: str, processes: str) -> None:
    """Commit first, and print the id of what stands by night."""
    store, told = Store(url, cache=Path(cache) / name), {}
    stagings = [store.stage("night", f"n{k}", input_key=sha256_text(f"{name}{k}")) for k in range(int(nights))]
    for staging in stagings:
        write(staging.path, {"table": name})
    (Path(cache) / f"{name}.ready").touch()
    while len(list(Path(cache).glob("*.ready"))) < int(processes):  # so that they begin together
        time.sleep(0.001)
    for staging in stagings:
        told[str(staging.partition)] = store.commit(staging, fields(), first=True).id
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
