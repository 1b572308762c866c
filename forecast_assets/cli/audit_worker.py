"""The process that runs a user's code for ``audit``: it may print, hang or crash without harm to the command.

    python -m forecast_assets.cli.audit_worker JOB

JOB is the request as JSON. Lines of JSON on standard output: progress, and at last the audit or why it was not possible.
"""

import importlib
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

import polars as pl

from forecast_assets.cli.audit_panel import calendar_rows, read_rows
from forecast_assets.core.audit.frames import Columns, FrameKind, Handing
from forecast_assets.core.audit.function import AuditRun, Decide, Leak, Subject, has_fit, suggested, train_until
from forecast_assets.core.audit.rows import synthetic_rows, with_known_at
from forecast_assets.core.errors import BadInput, UserError
from forecast_assets.core.models.entry import Model
from forecast_assets.core.nearest import nearest_name
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.settings import Settings

CLEAN_MODEL = (
    "no forecast changes with what comes later, with what else is asked, or with what lies after the last label"
)


def main() -> None:
    """Do the job that the command line holds."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # what the user's code prints is no answer
    try:
        answer(answers, result=run(json.loads(sys.argv[1]), answers))
    except UserError as problem:
        answer(answers, unusable=str(problem))


def run(job: dict[str, Any], answers: TextIO) -> dict[str, Any]:
    """Return the audit of ``job["target"]`` as plain values; progress goes to ``answers``."""
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    settings = compose_settings(environment.profile_name(), job["overrides"])
    target = job["target"]
    load = loader(target)
    first = load()  # a file that can't be used is reported before the panel is read
    raw = read_rows(Path(job["panel"]), settings) if job["panel"] else with_known_at(synthetic_rows())
    spec, decide = settings.audit, job["decide"]
    if isinstance(first, Model):
        return model_audit(first, target, raw, settings)
    cut = train_until(raw, spec) if has_fit(first) else None
    handings = _chosen(first, job["columns"], job["frame_kind"])

    def progress(done: int, of: int, found: Leak | None) -> None:
        answer(answers, done=done, of=of, leak=found.sentence() if found else None)

    subject = Subject(target, load, tuple(job["ignore"]), cut)
    panels: dict[Columns, pl.DataFrame] = {"raw": raw, "calendar": calendar_rows(raw, settings)}
    audit = AuditRun(subject, panels, spec, _decide(decide), handings, progress).result()
    return {**asdict(audit), "clean": audit.clean, "sentence": audit.sentence()}


def model_audit(model: Model, target: str, raw: pl.DataFrame, settings: Settings) -> dict[str, Any]:
    """Return the audit of a model in one file as plain values. Raises BadInput where it can't be judged."""
    from forecast_assets.assets.fold.first_use import audit_on_sample
    from forecast_assets.core.panel.build import feature_panel
    from forecast_assets.core.panel.features import feature_names
    from forecast_assets.core.windows.build import build_tensors

    rows = feature_panel(reindex(raw.drop("known_at"), spec=settings.panel), features=settings.features)
    panel = build_tensors(rows, feature_names=feature_names(rows))
    spec = model.spec()
    if lacking := [name for name in spec.reads.required if name not in panel.feature_names]:
        raise BadInput(f"{target}: reads {', '.join(lacking)}, which only the graph makes; it is audited there")
    year = int(rows["date"].dt.year().max())  # type: ignore[arg-type]
    named = replace(model, file=target.rpartition(":")[0])
    found = audit_on_sample(named, spec, panel, year=year, folds=settings.folds, lookback=settings.windows.lookback)
    if found.not_judged:
        raise BadInput(f"{target}: {found.not_judged.removeprefix(f'{named.file}: ')}")
    text = f"LEAK - {found.leak.removeprefix(f'{named.file}: ')}" if found.leak else f"clean - {CLEAN_MODEL}"
    return {"clean": not found.leak, "sentence": f"{target}: {text}", "notes": []}


def answer(answers: TextIO, **content: Any) -> None:
    """Write one line of JSON."""
    answers.write(json.dumps(content, default=str) + "\n")


def loader(target: str) -> Callable[[], Any]:
    """Return what loads ``FILE.py:NAME``, each time from the file anew, or ``package.module:NAME``.

    Raises BadInput where the target is not written like this.
    """
    where, colon, name = target.rpartition(":")
    if not colon or not where or not name:
        raise BadInput(f"{target}: name a function too, such as {where or name}:make")

    def load() -> Any:
        module = _file(Path(where), target) if where.endswith(".py") else _module(where, target)
        found = getattr(module, name, None)
        if found is None:
            names = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
            nearest = f"; the nearest is {nearest_name(name, names)}" if names else ""
            raise BadInput(f"{target}: there is no {name} in {where}{nearest}")
        if not callable(found) and not has_fit(found) and not isinstance(found, Model):
            raise BadInput(
                f"{target}: {name} is no function: {type(found).__name__}; name one, or a class with fit and predict"
            )
        if inspect.isclass(found) and not has_fit(found):
            raise BadInput(f"{target}: the class {name} has no fit and predict")
        return found

    return load


def _file(path: Path, target: str) -> ModuleType:
    if not path.is_file():
        raise BadInput(f"{target}: there is no file {path}")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # classes look up their module
    _executed(partial(spec.loader.exec_module, module), target)
    return module


def _module(name: str, target: str) -> ModuleType:
    module: ModuleType = _executed(lambda: importlib.import_module(name), target)
    return module


def _executed(action: Callable[[], Any], target: str) -> Any:
    try:
        return action()
    except Exception as error:
        first = next(iter(str(error).splitlines()), "")
        raise BadInput(f"{target}: can't be imported: {type(error).__name__}: {first}") from error


def _chosen(subject: Any, columns: Columns | None, frame_kind: FrameKind | None) -> tuple[Handing, ...]:
    """Return the ways of handing rows that are left to try."""
    kinds = [each for each in suggested(subject) if columns in (None, each.columns)]
    if frame_kind is None:
        return tuple(kinds)
    return tuple(dict.fromkeys(Handing(each.columns, frame_kind) for each in kinds))


def _decide(text: str) -> Decide:
    return "close" if text == "close" else "day"


if __name__ == "__main__":
    main()
