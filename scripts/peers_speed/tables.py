"""Medians, ranges and ratios of what was measured, as text and as Markdown."""

from dataclasses import dataclass, field
from statistics import median

OURS = "nightshelf"


@dataclass
class Figure:
    """One quantity of one contender, over all its runs. Ratios are within `what` and `threads`."""

    what: str
    unit: str
    who: str
    threads: int
    lower_is_better: bool
    values: list = field(default_factory=list)
    cores: list = field(default_factory=list)
    peak_mb: list = field(default_factory=list)
    notes: dict = field(default_factory=dict)

    @property
    def key(self):
        return (self.what, self.threads)


def table(figures):
    """Header and rows of cells; the last columns hold what a contender notes besides."""
    names = list(dict.fromkeys(name for figure in figures for name in figure.notes))
    header = ["what", "threads", "program", "median", "min - max", "runs", f"{OURS} is faster by", "cores busy"]
    header += ["peak MB", *names]
    ours = {figure.key: figure for figure in figures if figure.who.startswith(OURS)}
    order = list(dict.fromkeys(figure.key for figure in figures))
    rows = []
    for figure in sorted(figures, key=lambda figure: order.index(figure.key)):
        middle = f"{number(median(figure.values))} {figure.unit}"
        spread = f"{number(min(figure.values))} - {number(max(figure.values))}"
        cells = [figure.what, str(figure.threads), figure.who, middle, spread, str(len(figure.values))]
        cells.append(ratio(figure, ours.get(figure.key)))
        cells.append(f"{median(figure.cores):.1f}" if figure.cores else "")
        cells.append(f"{max(figure.peak_mb):,.0f}" if figure.peak_mb else "")
        rows.append(cells + [figure.notes.get(name, "") for name in names])
    return header, rows


def ratio(figure, ours):
    if ours is None or ours is figure:
        return ""
    theirs, own = median(figure.values), median(ours.values)
    if own <= 0 or theirs <= 0:
        return "?"
    return f"{theirs / own if figure.lower_is_better else own / theirs:.1f} x"


def number(value):
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def as_markdown(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def as_text(header, rows):
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return "\n".join(
        " " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [header, *rows]
    )
