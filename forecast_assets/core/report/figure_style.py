"""The style that all figures share, and their output as inline SVG or PNG.

Figures are built on matplotlib's objects, never on pyplot, so nothing global changes and any thread may draw. They are as
wide as a phone at text size 10 and scale up on a wider screen. matplotlib is imported when one is drawn.
"""

import html
import io
import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast_assets.core.report.titles import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.2  # inches: 374 points, so that a point is a pixel on a phone
TEXT = 10.5
SMALL = 9.5
INK, MUTED, GRID = "#1b1f24", "#57606a", "#d8dee4"
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8c6d31")
"""Okabe and Ito's colours, distinct with any colour vision; yellow, too pale for a line, is replaced by a brown."""

ON_PALE, ON_STRONG, NO_VALUE = "#1b1f23", "#fefefe", "#f3f4f5"
"""Text on coloured cells, and cells without a number: a dark page leaves these as they are, unlike INK and white."""

GAIN, LOSS = "#0071b1", "#d45d00"
"""Ends of the scale of coloured cells: the palette's first colours to the eye, but the same on a dark page."""

TITLE_CHARACTERS, LABEL_CHARACTERS, LEGEND_CHARACTERS = 52, 26, 30
LINE = 0.175  # inches of a line of small text
NUMBER = 0.16  # inches that the number of a line needs at its end
READ_OFF, LINE_ID = "read off:", "line"  # gid of a plot whose lines a page can read off, before its unit; of its lines
POINTS_PER_INCH = 72  # of an SVG
PLOT_SHARE = 0.75  # of a figure's height, what its plot has at least beside title and axis


def canvas(heading: str, *, height: float, panels: int, shared_scale: bool = True) -> "tuple[Figure, list[Axes]]":
    """Return a titled, styled figure with ``panels`` plots beside each other; ``height`` in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.set_label(heading)
    lines = _wrap(heading, TITLE_CHARACTERS)
    figure.suptitle(lines, x=0.01, ha="left", fontsize=TEXT + 1, fontweight="bold", color=INK, parse_math=False)
    axes = list(figure.subplots(1, panels, sharey=shared_scale, squeeze=False)[0])
    for plot in axes:
        style_axes(plot)
        plot.grid(axis="y", color=GRID, linewidth=0.6)
        plot.set_axisbelow(True)
    return figure, axes


def two_panels(heading: str, *, height: float, heights: tuple[float, float]) -> "tuple[Figure, Axes, Axes]":
    """Return a figure with one plot above another, of these relative heights, without a grid."""
    figure, (whole,) = canvas(heading, height=height, panels=1)
    whole.remove()
    upper, lower = figure.subplots(2, 1, height_ratios=heights)
    for plot in (upper, lower):
        style_axes(plot)
    return figure, upper, lower


def style_axes(plot: "Axes") -> None:
    """Apply the shared style of spines and ticks."""
    plot.spines[["top", "right"]].set_visible(False)
    plot.spines[["left", "bottom"]].set_color(GRID)
    plot.tick_params(labelsize=SMALL, colors=MUTED, length=3)


def widen_left(figure: "Figure", margin: float) -> None:
    """Leave ``margin``, a fraction of the width, for long labels at the left."""
    engine = figure.get_layout_engine()
    assert engine is not None  # the canvas has one
    engine.set(rect=(margin, 0.0, 1.0 - margin, 1.0))  # type: ignore[call-arg]


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name by its place: the palette, then darker and paler tones of it, no two alike.

    >>> len(set(colours([str(k) for k in range(24)]).values()))
    24
    """
    return {name: _tone(PALETTE[k % len(PALETTE)], k // len(PALETTE)) for k, name in enumerate(names)}


def _tone(colour: str, turn: int) -> str:
    """Return the colour itself, then by turns darker and paler mixtures of it."""
    if not turn:
        return colour
    target, share = (0x20 if turn % 2 else 0xE0), 1 - 0.6 ** ((turn + 1) // 2)
    channels = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(value + share * (target - value)):02x}" for value in channels)


def note(plot: "Axes", x: float, y: float, text: str, **style: Any) -> None:
    """Write plain text in data coordinates; a dollar sign stays one, without mathematics."""
    plot.text(x, y, text, parse_math=False, **dict({"fontsize": SMALL, "color": INK}, **style))


def wrapped(name: str) -> str:
    """Return the title of a model or strategy, broken into lines that leave room beside them for a plot."""
    return _wrap(title(name), LABEL_CHARACTERS)


def _wrap(text: str, characters: int) -> str:
    return textwrap.fill(text, characters, break_long_words=False, break_on_hyphens=False)


def label_ends(plot: "Axes", ends: dict[str, float], *, colour: dict[str, str]) -> None:
    """Number each line at its right end, pushed apart so that none covers another, and list the titles below the plot.

    ``ends``: final heights; ``colour``: of all lines, in the order of their numbers. The figure grows for many.
    """
    from matplotlib.figure import Figure

    numbers = {name: str(k) for k, name in enumerate((name for name in colour if name in ends), start=1)}
    figure = plot.get_figure()
    assert isinstance(figure, Figure)
    needed = NUMBER * len(ends) / PLOT_SHARE
    if needed > figure.get_figheight():
        figure.set_figheight(needed)
    low, high = plot.get_ylim()
    scale = plot.transData.transform
    bottom, top = scale((0, low))[1], scale((0, high))[1]
    names = sorted(ends, key=lambda name: ends[name])
    places = [float((scale((0, ends[name]))[1] - bottom) / (top - bottom)) for name in names]
    gap = NUMBER / (PLOT_SHARE * figure.get_figheight())
    for k, (place, name) in enumerate(zip(spread(places, gap=gap), names, strict=True)):
        inside = min(max(place, k * gap), 1.0 - (len(names) - 1 - k) * gap)
        plot.annotate(
            numbers[name], (1.015, inside), xycoords="axes fraction", va="center", fontsize=SMALL, color=colour[name]
        )
    list_below(plot, [name for name in colour if name in ends], colour=colour)


def list_below(plot: "Axes", names: Sequence[str], *, colour: dict[str, str] | None = None) -> None:
    """Add the numbered titles of ``names`` in two columns below the figure, which grows by their height."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = plot.get_figure()
    assert isinstance(figure, Figure)
    labels = [_wrap(f"{number}  {title(name)}", LEGEND_CHARACTERS) for number, name in enumerate(names, start=1)]
    columns = (labels[: -(-len(labels) // 2)], labels[-(-len(labels) // 2) :])
    lines = max(sum(1 + label.count("\n") for label in column) for column in columns)
    figure.set_figheight(figure.get_figheight() + LINE * lines)
    legend = figure.legend(
        [Line2D([], [], color=colour[name] if colour else "white", linewidth=2.2) for name in names],
        labels,
        loc="outside lower left",
        ncols=2,
        frameon=False,
        fontsize=SMALL,
        handlelength=1.0 if colour else 0.0,
        labelspacing=0.25,
        columnspacing=1.0,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def spread(places: Sequence[float], *, gap: float) -> list[float]:
    """Move ascending places as little as needed to lie ``gap`` apart (isotonic regression on place - k gap)."""
    blocks: list[list[float]] = []  # [mean, size]
    for k, place in enumerate(places):
        blocks.append([place - k * gap, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, size = blocks.pop()
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + mean * size) / (blocks[-1][1] + size), blocks[-1][1] + size]
    shifted = np.repeat([mean for mean, _ in blocks], [int(size) for _, size in blocks])
    return [float(value + k * gap) for k, value in enumerate(shifted)]


def percent(value: float, *, digits: int = 0) -> str:
    """0.123 -> "12 %"; "-" where the number is undefined."""
    return f"{100 * value:.{digits}f} %" if np.isfinite(value) else "-"


def read_off(plot: "Axes", *, unit: str) -> None:
    """Let a page read the plot's lines off under the pointer, those with a label; ``unit`` is percent or number.

    The horizontal axis is of dates.
    """
    plot.set_gid(f"{READ_OFF}{unit}")


def _scales(figure: "Figure") -> str:
    """Return what a page needs to turn places of the figure's lines into dates and values, as an attribute's text."""
    found = [plot for plot in figure.axes if str(plot.get_gid()).startswith(READ_OFF)]
    if not found:
        return ""
    (plot,) = found
    days, heights = plot.get_xlim(), plot.get_ylim()
    corners = plot.transData.transform(list(zip(days, heights, strict=True))) * POINTS_PER_INCH / figure.dpi
    tall = figure.get_figheight() * POINTS_PER_INCH
    scale = {
        "x": [round(float(place), 3) for place in corners[:, 0]],
        "days": [round(float(day), 4) for day in days],
        "y": [round(tall - float(place), 3) for place in corners[:, 1]],
        "values": [float(f"{height:.8g}") for height in heights],
        "log": plot.get_yscale() == "log",
        "unit": str(plot.get_gid()).removeprefix(READ_OFF),
        "names": [str(line.get_label()) for line in plot.lines if not str(line.get_label()).startswith("_")],
    }
    return html.escape(json.dumps(scale), quote=True)


def to_svg(figure: "Figure") -> str:
    """Return the figure as one ``<svg>`` element for HTML: same figure, same bytes; scales to its container.

    Text stays text (selectable, escaped); no date, no metadata, no ids that could clash with another figure's. A figure with
    ``read_off`` has the scales of its plot in ``data-scales``, and its labelled lines are the paths of class ``line``.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    _settle(figure)
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "forecast_assets", "font.family": "sans-serif"}),
        _resolution(figure, figure.dpi),
    ):
        FigureCanvasSVG(figure).print_svg(buffer, metadata=metadata)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(f'<g id="{LINE_ID}"', '<g class="line"', svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    label = html.escape(str(figure.get_label()), quote=True)
    tag = re.search(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', svg)
    assert tag is not None  # matplotlib writes one
    scales = f'data-scales="{text}" ' if (text := _scales(figure)) else ""
    start = f'<svg role="img" aria-label="{label}" viewBox="{tag[1]}" {scales}xmlns="http://www.w3.org/2000/svg" '
    return f'{start}xmlns:xlink="http://www.w3.org/1999/xlink">{svg[tag.end() :]}'.strip()


def to_png(figure: "Figure") -> bytes:
    """Return the figure as a PNG file: same figure, same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    _settle(figure)
    buffer = io.BytesIO()
    with _resolution(figure, 110):
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


@contextmanager
def _resolution(figure: "Figure", dpi: float) -> Iterator[None]:
    """Draw at ``dpi`` and give the figure its own back, which print_svg leaves at 72."""
    before = figure.dpi
    figure.set_dpi(dpi)
    try:
        yield
    finally:
        figure.set_dpi(before)


def _settle(figure: "Figure") -> None:
    """Fix the layout: a second one would start from the first and move things slightly.

    ``savefig`` and ``draw_without_rendering`` would each draw the whole figure once more for it.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")
