"""Time qlib's expression engine on the fields given, without expression or dataset cache; run where pyqlib is installed.

    python qlib_expressions.py PROVIDER FIELDS.json OUT.parquet

Prints the seconds from its binary store to a table; writes the table.
"""

import json
import sys
import time
from pathlib import Path

import qlib
from qlib.data import D

if __name__ == "__main__":
    provider, fields, out = sys.argv[1:]
    qlib.init(
        provider_uri=provider,
        expression_cache=None,
        dataset_cache=None,
        kernels=1,
        joblib_backend="sequential",
        region="us",
    )
    names = json.loads(Path(fields).read_text())
    started = time.perf_counter()
    table = D.features(D.instruments("all"), list(names.values()), freq="day")
    seconds = time.perf_counter() - started
    table.columns = list(names)
    table.reset_index().to_parquet(out)
    print(f"seconds {seconds}")
