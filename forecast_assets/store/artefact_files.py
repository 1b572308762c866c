"""Names of the files in a version, each written once; ``manifest.json`` and ``CURRENT`` are in `names`."""

TABLE = "table.parquet"  # an asset's main table; a parent annotated as ``pl.LazyFrame`` is read from this file
LATEST = "table-latest.parquet"  # the last rows of a main table that is kept in two files, those an update writes again

PLOT_PREFIX = "plot-"

# raw_panel, calendar_panel
REJECTED_ROWS = "rejected.parquet"
FLAGS = "flags.parquet"
READING = "reading.json"  # what was read, in short
TICKERS = "tickers.parquet"  # rows, days and holes of each ticker
REVISIONS = "revisions.parquet"
REVISION_WORTH = "revision_worth.parquet"  # losses of a plain forecast as known then and as known now, by horizon
PARTITIONS = "partitions.json"  # test years and sessions of the panel, and which of them are partitions of the graph
QUOTED = "quoted.parquet"  # exchange, ticker and date of the rows of the last sessions: is a session complete
CORRECTIONS = "corrections.parquet"

# covariates
DECLARED = "covariates.json"  # the series in the table, with the columns that are made of each

# announcements
INFERRED = "inferred.parquet"  # rows found to be announcements, with the evidence
ANNOUNCEMENT_PARAMETERS = "parameters.json"
CUT_STATE, CUT_TAIL, CUT_ROWS = "cut.safetensors", "cut-tail.parquet", "cut-rows.parquet"
"""Where the next version goes on from: state of the recursions, and the last rows."""

# windowed_tensors
TENSORS = "panel.safetensors"
ENDS = "ends.safetensors"  # row numbers at which a complete window ends

# sweep
TUNED_SETTINGS = "settings.json"
CHOICES = "choices.parquet"
"""Calibration and trading settings compared after the search, on the forecasts of the settings it found."""
TRIAL_FORECASTS = "forecasts.safetensors"
"""In a trial's folder: its raw forecasts of each inner year, to choose ``CHOICES`` by."""

# a network's fold, the baselines, the ensemble
FITS = "fits.parquet"  # forecasts of every single fit; ``model`` is ``<asset key>/<seed>``
TRAINING = "training.json"
"""Fits with their scores, the training curve, the unconditional mean, the tickers with an embedding."""
RAW_FORECASTS = "raw.parquet"  # forecasts before calibration, in the rows and the schema of the main table beside it
CALIBRATION_STATE = "calibration.json"
"""State of the calibration: after the fold's last forecast origin, or as of a night."""
IMPORTANCE = "importance.json"
"""Variable selection weights of the best fit, averaged over the test year; empty for a network without them."""
EXPERTS = "experts.parquet"  # share of each expert of a mixture by date, from the best fit's gate
NEIGHBOURS = "neighbours.parquet"  # attribution of the last day's forecasts to neighbours, from the best fit
MEMBERS = "members.json"  # members of an ensemble with their validation scores, best first
MEMBER_CONTRIBUTIONS = "members.parquet"  # pinball of each member, of the ensemble without it, and of the ensemble
BEST_MEMBER = "best_member.parquet"
"""Calibrated forecasts of the member with the smallest validation pinball, to compare the ensemble with."""
CALIBRATION_EFFECT = "coverage.parquet"  # coverage and pinball of the ensemble before and after calibration

# backtest
POSITIONS = "positions.parquet"
TRADES = "trades.parquet"
DAILY_LOSSES = {
    "scores": "losses.parquet",
    "pairs": "losses_in_pairs.parquet",
    "shared": "losses_shared.parquet",
    "fits": "losses_of_fits.parquet",
}
"""Files of ``DailyLosses``, by field."""
NEW_LISTING_LOSSES = "losses_of_new_listings.parquet"
COVERAGE_CELLS = "losses_by_cell.parquet"
"""Sums per day by exchange, sector, width of the band, liquidity and weekday, for coverage over any years."""

# f0_chronos
ZERO_SHOT = "zero_shot.json"  # the weights and up to when they may have been trained, or why there is no forecast

# rivals
RIVAL_LOSSES = "losses.parquet"  # daily sums of a rival and of our models over the forecasts that all of them made
RIVAL_RECORDS = "rivals.json"  # of each file: its form and what became of its rows, or why it is refused

# backtest_report, ablation_report
RIVAL_BOOKS = "rival_books.parquet"  # daily table of each rival's book, and of ours on its forecast origins
RISKED = "risked.parquet"  # by day: value at risk of the book and of equal weights, and what they then earned
BACKTEST_PAGE, BACKTEST_METRICS = "backtest.html", "metrics.json"
ABLATION_PAGE, ABLATION_METRICS = "ablation.html", "ablation.json"
TRIALS = "trials.json"  # the trial log that the report read

# serving_model (the champion's bundle), challenger
MODEL_BINARY = "model.pt"
MODEL_PROGRAM = "model.pt2"
MEMBER_WEIGHTS = "members.safetensors"
FOLD_STATS = "stats.safetensors"
CARD = "bundle.json"
CHALLENGER_VERDICT = "challenger.json"

# target_positions
GONE_TICKERS = "gone.parquet"
"""Calendar rows of tickers that were forecast and have left the panel, each with the night that found it ``gone_since``."""
BOOK_RISK = "risk.json"  # what the book may lose, as stated on its night
BOOK_RISK_RECORD = "risk_record.parquet"  # nights whose books have an outcome: value at risk as stated, and the return

# nightly_forecast, drift_checks
NIGHT_RECORD = "night.json"  # day, model and data of the night's forecasts
COVERAGE_BY_DAY = "coverage.parquet"
LOSS_BY_DAY = "losses.parquet"
DRIFT_VERDICT = "verdict.json"


# the folder of a single fit that the train command writes
FIT_SETTINGS = "settings.json"


def weights_file(seed: str | int) -> str:
    """Return the file name of the weights of one fit of a fold."""
    return f"weights-{seed}.safetensors"


def plot_file(name: str) -> str:
    """Return the file name of a plot."""
    return f"{PLOT_PREFIX}{name}.png"


LATEST_REPORTS = "reports/latest"  # below the data root: copies of the latest reports
RECORD_PAGE = "record.html"  # there: the sealed record, by the command
