"""Mutants: look-ahead leaks as edits of the package's own text.

Each is a mistake that somebody could make in good faith and that no type checker sees. ``tests`` are the test files that
have to catch it; the first failing test is enough.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One wrong edit of one file under ``forecast_assets/core``; every ``old`` text stands there exactly once."""

    name: str
    what: str
    file: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


PANEL = ("core/panel/test_leakage.py",)
CALENDAR = ("core/panel/test_calendar.py", *PANEL)
COVARIATES = ("core/panel/covariates/test_join.py",)
TARGETS = ("core/panel/test_known_and_targets.py", *PANEL)
ANNOUNCED = ("core/panel/announcements/test_filtering.py", "core/panel/announcements/test_causality.py")
PLANTED = ("core/panel/announcements/test_planted.py",)
FOLDS = ("core/windows/test_folds.py",)
STATS = ("core/windows/test_stats.py",)
VOLATILITY = ("core/windows/test_volatility.py",)
TENSORS = ("core/windows/test_tensors.py", "core/windows/test_leakage_checks.py")
FIT = ("core/training/test_selection.py", "core/training/test_fit.py")
SIMULATION = ("core/backtest/test_simulate.py",)
STRATEGIES = ("core/backtest/test_strategies.py",)
JOINING = ("core/backtest/test_joining.py",)
BENCHMARK_TASK = ("core/benchmark_task/test_observations.py",)
EARLY_WARNING = ("core/monitoring/test_early_warning.py",)

MUTANTS = (
    Mutant(
        "fills_one_more",
        "a hole of six sessions is filled like one of five",
        "panel/calendar.py",
        (
            ('pl.col("hole") > spec.max_fill_sessions', 'pl.col("hole") > spec.max_fill_sessions + 1'),
            ("is_between(1, spec.max_fill_sessions)", "is_between(1, spec.max_fill_sessions + 1)"),
        ),
        CALENDAR,
    ),
    Mutant(
        "carries_the_sector_across_tickers",
        "a missing sector is filled with that of the row above, whoever it belongs to",
        "panel/calendar.py",
        (('pl.col("close", "sector").gather(last_quote)', 'pl.col("close", "sector").forward_fill()'),),
        CALENDAR,
    ),
    Mutant(
        "later_exchange_opens_early",
        "on a union calendar an exchange that comes later adds its sessions to the years before it",
        "panel/calendar.py",
        (("sessions(exchange, start, end)", 'sessions(exchange, quoted["date"].min(), end)'),),
        CALENDAR,
    ),
    Mutant(
        "label_on_a_filled_row",
        "a forward-filled close is taken for a price that could be reached",
        "panel/targets.py",
        (('pl.col("log_close"), ~pl.col("is_missing")', 'pl.col("log_close"), pl.col("is_missing").is_not_null()'),),
        TARGETS,
    ),
    Mutant(
        "label_across_a_border",
        "the last rows of a ticker are labelled with the first prices of the next one",
        "panel/targets.py",
        (('same = pl.col("segment_id").shift(-horizon) == pl.col("segment_id")', "same = observed.is_not_null()"),),
        TARGETS,
    ),
    Mutant(
        "rolling_window_looks_ahead",
        "volatility is that of a window centred on the day",
        "panel/features.py",
        (("r.rolling_std(s), s - 1", "r.rolling_std(s, center=True), s - 1"),),
        PANEL,
    ),
    Mutant(
        "z_score_of_the_whole_history",
        "volume is compared with its mean over all years, the later ones too",
        "panel/features.py",
        (('(pl.col("traded").rolling_mean(v), v - 1)', '(pl.col("traded").mean(), v - 1)'),),
        PANEL,
    ),
    Mutant(
        "filled_rows_are_observations",
        "a halt enters every window as so many days without a move",
        "panel/features.py",
        (('calendar_panel.filter(~pl.col("is_missing")).sort', "calendar_panel.sort"),),
        PANEL,
    ),
    Mutant(
        "lag_across_a_border",
        "the first return of a ticker is taken from the last price of another",
        "panel/indicators.py",
        (('pl.when(pl.col("row") >= rows).then(values.shift(rows))', "values.shift(rows)"),),
        PANEL,
    ),
    Mutant(
        "rank_among_later_closes",
        "a European ticker is ranked among American ones that close hours later",
        "panel/features.py",
        ((".cast(pl.Int64) * CODES + exchange)", ".cast(pl.Int64) * CODES)"),),
        PANEL,
    ),
    Mutant(
        "a_price_level",
        "MACD is left in units of the price, which a later split divides",
        "panel/features.py",
        (('col("macd_line") / col("close")', 'col("macd_line")'),),
        PANEL,
    ),
    Mutant(
        "tail_too_short",
        "an incremental run begins at the first new row",
        "panel/features.py",
        (("return max(recursive, longest_window(spec), 20) + 1", "return 1"),),
        ("core/panel/test_incremental.py",),
    ),
    Mutant(
        "labels_left_as_they_were",
        "an incremental run does not complete the labels that its new rows mature",
        "panel/incremental.py",
        (("LABEL_ROWS = LOOK_AHEAD.days", "LABEL_ROWS = 0"),),
        ("core/panel/test_incremental.py",),
    ),
    Mutant(
        "training_labels_overlap_validation",
        "training is cut by the forecast origin, not by the end of its label",
        "windows/folds.py",
        (("& labelled & (label_end < validation_from)", "& labelled"),),
        FOLDS,
    ),
    Mutant(
        "validation_labels_reach_into_the_test_year",
        "validation is cut by the forecast origin, not by the end of its label",
        "windows/folds.py",
        (("& labelled & (label_end < first_test)", "& labelled"),),
        FOLDS,
    ),
    Mutant(
        "purge_never_checked",
        "the fold no longer checks that its splits are apart",
        "windows/folds.py",
        (("if ends >= begins:", "if ends >= begins + 10_000:"),),
        FOLDS,
    ),
    Mutant(
        "scaler_sees_the_future",
        "features are scaled with the mean and deviation of the whole panel",
        "windows/stats.py",
        (
            (
                "seen = (panel.date <= panel.date[fold.train].max()) & panel.member & (panel.run_length > 0)",
                "seen = panel.run_length > 0",
            ),
        ),
        STATS,
    ),
    Mutant(
        "vocabulary_of_the_whole_panel",
        "a ticker that lists after training has an embedding of its own, never trained",
        "windows/stats.py",
        (("_ids(panel.ticker[fold.sampled],", "_ids(panel.ticker,"),),
        STATS,
    ),
    Mutant(
        "base_distribution_of_the_test_year",
        "the quantiles that forecasts start from are those of the year to be forecast",
        "windows/stats.py",
        (
            ("_origins(panel, fold.train, weights)", "_origins(panel, fold.origins, weights)"),
            ("_of_horizon(panel, fold.train, forecasts, k", "_of_horizon(panel, fold.origins, forecasts, k"),
        ),
        STATS,
    ),
    Mutant(
        "volatility_of_the_test_year",
        "the volatility forecast is fitted on the forecast origins of the test year",
        "windows/stats.py",
        (("fit_volatility(panel, fold.train,", "fit_volatility(panel, fold.origins,"),),
        STATS,
    ),
    Mutant(
        "volatility_of_the_next_session",
        "a lag of the volatility forecast looks ahead instead of back",
        "windows/volatility.py",
        (("rows[:, None] - back", "(rows[:, None] + back).clamp(max=len(panel.features) - 1)"),),
        VOLATILITY,
    ),
    Mutant(
        "window_across_segments",
        "a window begins before a hole that ended the history",
        "windows/build.py",
        (('.over("ticker", "segment", "breaks")', '.over("ticker", "breaks")'),),
        TENSORS,
    ),
    Mutant(
        "decides_on_a_filled_row",
        "a forward-filled session is a forecast origin like any other",
        "windows/tensors.py",
        (("self.observed & self.member & (self", "self.member & (self"),),
        TENSORS + FOLDS,
    ),
    Mutant(
        "origins_before_the_ticker_enters",
        "a ticker is fitted on and forecast before anybody knew that it would enter the universe",
        "windows/tensors.py",
        (("self.observed & self.member & (self", "self.observed & (self"),),
        TENSORS + FOLDS,
    ),
    Mutant(
        "ranked_among_those_who_enter_later",
        "a rank and a market return count tickers that enter the universe, or have left it",
        "panel/indicators.py",
        (('return pl.when("is_member").then(values)', "return values"),),
        PANEL,
    ),
    Mutant(
        "todays_members_were_always_members",
        "the universe of the file's last day is taken for that of all days before it",
        "panel/point_in_time.py",
        (('right_on="begin",', 'right_on="begin", strategy="nearest",'),),
        ("core/panel/test_point_in_time.py", *PANEL),
    ),
    Mutant(
        "own_series_joined_by_date",
        "a value of the user's own series is taken to be known on its own date, whenever it arrived",
        "panel/covariates/join.py",
        (('left_on="close", right_on="known_from"', 'left_on="date", right_on="day"'),),
        COVARIATES,
    ),
    Mutant(
        "events_known_before_they_were_announced",
        "an event ahead counts for every origin before it, whenever it was announced",
        "panel/covariates/events.py",
        (('joined.filter(pl.col("known_from") <= pl.col("close"))', "joined"),),
        COVARIATES,
    ),
    Mutant(
        "announcement_among_later_days",
        "a row's probability of being the quarter's announcement is its share of a window centred on it",
        "panel/announcements/filtering.py",
        (
            ("sums import Floats, Ints, trailing_sum", "sums import Floats, Ints, centred_sum, trailing_sum"),
            (
                "trailing_sum(joint[JOINT + begin - HALF - 1 : JOINT + end], HALF + 2)[HALF + 1 :]",
                "centred_sum(joint[JOINT + begin - HALF - 1 : JOINT + end], HALF + 1)[HALF + 1 :]",
            ),
        ),
        ANNOUNCED,
    ),
    Mutant(
        "lags_under_a_quarter",
        "an expectation reads posteriors whose quarter reaches beyond the row",
        "panel/announcements/weekdays.py",
        (("return longest_ahead(horizon) + HALF + 1", "return longest_ahead(horizon) + 1"),),
        ("core/panel/announcements/test_causality.py",),
    ),
    Mutant(
        "expectation_that_fulfils_itself",
        "the expectation is fitted to the posterior that it has made itself",
        "panel/announcements/model.py",
        (
            ("        target = rows.uniform(likelihood)\n", "        target = posterior\n"),
            ("target = rows.uniform(before.likelihood(rows.evidence))", "target = posterior"),
        ),
        PLANTED,
    ),
    Mutant(
        "market_of_a_later_close",
        "a market's mean counts every ticker of the date, whenever its exchange closes",
        "panel/announcements/weekdays.py",
        (('pl.struct(key, "date", "close")', 'pl.struct("date")'),),
        ("core/panel/announcements/test_causality.py",),
    ),
    Mutant(
        "announcements_fitted_on_the_year_itself",
        "the parameters of a year are fitted on its own days too",
        "panel/announcements/filtering.py",
        tuple(
            (f"{name}[cut:begin{more}]", f"{name}[cut:end{more}]")
            for name, more in (
                ("evidence.values", ""),
                ("evidence.known", ""),
                ("share", ""),
                ("start", ", tickers"),
                ("posterior", ", tickers"),
            )
        ),
        ("core/panel/announcements/test_causality.py",),
    ),
    Mutant(
        "best_epoch_by_the_test_year",
        "the checkpoint is chosen by its score on the test year",
        "training/fit.py",
        (("sample_of_tickers(panel, fold.validation,", "sample_of_tickers(panel, fold.test,"),),
        FIT,
    ),
    Mutant(
        "location_earned_on_the_test_year",
        "the slope of the learned location is fitted on the outcomes of the test year too",
        "windows/folds.py",
        (("torch.cat([*self.spans, self.validation])", "torch.cat([*self.spans, self.test, self.validation])"),),
        FIT,
    ),
    Mutant(
        "samples_around_a_span",
        "a network is trained on rows whose labels end within an earlier validation span",
        "windows/folds.py",
        (("(date < first) & (panel.label_end[rest] < first)", "(date < first)"),),
        FOLDS,
    ),
    Mutant(
        "trades_at_the_close_it_decides_on",
        "a decision is executed at the very close that it was made from",
        "backtest/simulate.py",
        (('(terms.spec.execution == "next_open")', '(terms.spec.execution == "next_day")'),),
        SIMULATION,
    ),
    Mutant(
        "trades_are_free",
        "the accounting charges nothing",
        "backtest/simulate.py",
        (("smoothing=own_smoothing, costs=costs", "smoothing=own_smoothing, costs=Costs(0.0)"),),
        SIMULATION,
    ),
    Mutant(
        "half_the_variance_is_a_view",
        "the edge is the expected simple return, so that unequal volatility makes a book without any view",
        "backtest/decisions.py",
        (('location = pl.col("q50")', 'location = pl.col("q50") + pl.col("sigma") ** 2 / 2'),),
        STRATEGIES,
    ),
    Mutant(
        "every_year_opens_from_its_validation",
        "a year's validation decisions come back into a book that was carried over from the year before",
        "backtest/decisions.py",
        (('(pl.col("split") == "test") | (year == first)', 'pl.col("split") != "none"'),),
        JOINING,
    ),
    Mutant(
        "a_past_ends_after_its_cutoff",
        "the newest observations before a benchmark's cutoff end one session after it",
        "benchmark_task/observations.py",
        (("end - 1 - horizon * np.arange(full - 1, 0, -1)", "end - horizon * np.arange(full - 1, 0, -1)"),),
        BENCHMARK_TASK,
    ),
    Mutant(
        "an_estimate_is_fitted_on_what_has_not_matured",
        "the regression behind a directly estimated loss reads losses on the day of their forecasts",
        "monitoring/early_warning.py",
        (("known_on = session + LONG + LAG_SESSIONS", "known_on = session"),),
        EARLY_WARNING,
    ),
)
