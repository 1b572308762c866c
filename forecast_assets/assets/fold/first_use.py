"""The audit of a model of one's own, made when it is first fitted and remembered for the other folds."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from forecast_assets.assets.fold.fold_work import FoldInputs, FoldWork, Running
from forecast_assets.core.errors import BadInput, BadModel, OutOfTime
from forecast_assets.core.models.catalogue import MODELS
from forecast_assets.core.models.entry import Model, ModelSpec
from forecast_assets.core.specs import FoldSpec, OwnModelsSpec
from forecast_assets.resources import environment
from forecast_assets.resources.engine import Needs, ProcessEnded, ProgressCallback
from forecast_assets.store.durable import replace_bytes
from forecast_assets.store.keys import canonical_json, code_digest, sha256_text

if TYPE_CHECKING:
    from forecast_assets.core.windows.tensors import PanelTensors

OUT_OF_MEMORY = -9  # exit code of a process that the system has killed
AUDITOR = "forecast_assets.core.training.look_ahead"


class AuditOutcome(NamedTuple):
    """What an audit came to: a leak, or why none could be looked for; neither where the model is clean."""

    leak: str = ""
    not_judged: str = ""

    def in_words(self) -> str:
        """Return the outcome of a model that may be used."""
        return f"not audited for look-ahead: {self.not_judged}" if self.not_judged else "audited: no look-ahead found"


@dataclass(frozen=True)
class AuditWork:
    """The audit of the model of ``work`` on its fold, as work that any machine can do."""

    work: FoldWork

    def __call__(self, given: None, report: ProgressCallback) -> AuditOutcome:
        """Audit the model on a sample. A model that fails on it is not judged: its fit will say what is wrong."""
        work = self.work
        report(Running("the audit"))
        return audit_on_sample(
            MODELS[work.name], work.spec, work.data.panel, year=work.year, folds=work.folds, lookback=work.lookback,
            on_call=lambda function: report(Running(f"{function} in the audit")),
        )  # fmt: skip


def audit_on_sample(
    entry: Model,
    spec: ModelSpec,
    whole: "PanelTensors",
    *,
    year: int,
    folds: FoldSpec,
    lookback: int,
    on_call: Callable[[str], object] = lambda _: None,
) -> AuditOutcome:
    """Return the audit of a model of one's own on a few tickers of a panel; ``on_call`` takes the running function."""
    import torch

    from forecast_assets.core.training.look_ahead import NotJudged, audit_model, fitting, predict_of, sample_rows
    from forecast_assets.core.windows.clock import known_at
    from forecast_assets.core.windows.folds import make_fold
    from forecast_assets.core.windows.graph import with_graph_if_read
    from forecast_assets.core.windows.stats import fit_stats

    try:
        panel = whole.take(sample_rows(whole, make_fold(whole, year=year, spec=folds, lookback=lookback)))
        fold = make_fold(panel, year=year, spec=folds, lookback=lookback)
        ends = torch.cat([fold.train, fold.origins])
        panel = with_graph_if_read(spec.reads, panel, ends=ends, lookback=lookback)
        fit = fitting(entry, spec, fold=fold, stats=fit_stats(panel, fold), lookback=lookback, on_call=on_call)
        leak = audit_model(fit, panel=panel, fold=fold, known_at=known_at(panel))
    except (NotJudged, BadModel, BadInput) as problem:
        return AuditOutcome(not_judged=str(problem))
    return AuditOutcome("" if leak is None else f"{entry.file}: {leak.sentence(predict=predict_of(entry))}")


def audited(work: FoldWork, inputs: FoldInputs, *, own: OwnModelsSpec) -> AuditOutcome:
    """Return the audit of the model of ``work``: the remembered one of this file, settings and panel, or a new one.

    Raises BadModel for a leak, and where the audit takes longer than ``own.minutes``.
    """
    remembered = environment.checkpoint_folder() / "audits" / f"{audit_key(work)}.json"
    if remembered.is_file():
        found = AuditOutcome(**json.loads(remembered.read_text(encoding="utf-8")))
    else:
        found = _audit(work, inputs, own=own)
        remembered.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(remembered, json.dumps(found._asdict()).encode())
    if found.leak:
        raise BadModel(found.leak)
    return found


def audit_key(work: FoldWork) -> str:
    """Return what an audit depends on: the file, its settings, the panel and the auditor; not the year."""
    settings = work.spec.model_dump(mode="json")
    parts = [work.name, MODELS[work.name].digest, settings, work.lookback, work.windowed_tensors.data_version]
    return sha256_text(canonical_json([*parts, code_digest(AUDITOR)]))[:32]


def _audit(work: FoldWork, inputs: FoldInputs, *, own: OwnModelsSpec) -> AuditOutcome:
    needs, running = limited(work.needs(), own), dict[int, Running]()
    inputs.log.info(f"{work.name}: {MODELS[work.name].file} is audited for look-ahead before its first fit")
    try:
        ((_, found),) = inputs.engine.each(AuditWork(work), [None], needs=needs, on_message=running.__setitem__)
    except (OutOfTime, ProcessEnded) as problem:
        raise stopped(MODELS[work.name], running[0].function, problem, own) from problem
    return found


def limited(needs: Needs, own: OwnModelsSpec) -> Needs:
    """Return ``needs`` with the limit of time of a model of one's own."""
    return replace(needs, seconds=60 * own.minutes)


def stopped(entry: Model, function: str, problem: OutOfTime | ProcessEnded, own: OwnModelsSpec) -> Exception:
    """Return what is to be raised where a model's process came to an end in ``function``: ``problem`` itself where memory
    may have run out, which is no fault of the model's.
    """
    if isinstance(problem, OutOfTime):
        return BadModel(f"{entry.file}: {function} took longer than own_models.minutes={own.minutes:g} and was stopped")
    if problem.exit_code == OUT_OF_MEMORY:
        return problem
    return BadModel(f"{entry.file}: {function} ended its process with exit code {problem.exit_code}")
