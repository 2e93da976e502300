"""Results in Python and in notebooks: a table, a plot, and the HTML that a notebook shows."""

import io
from html import escape
from typing import Any

from softtargets import _packages

_MOST_ROWS = 12
_INCHES = (4.8, 3.6)
# Longest text of a cell.
_LONGEST = 60
_CELL = "padding:2px 10px;text-align:left"


class NotebookResult:
    """Base of the results of audits, comparisons, evaluations and studies."""

    def to_rows(self) -> list[dict[str, Any]]:
        """Return the main table: one dictionary of text and numbers for each row, all with the same keys."""
        raise NotImplementedError

    def plot(self, ax: Any = None) -> Any:
        """Plot the main figure with matplotlib.

        Args:
            ax: matplotlib axes. Default: those of a new figure.

        Returns:
            The axes.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
        """
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """Return the main table as a pandas DataFrame.

        Raises:
            ModuleNotFoundError: if pandas is not installed.
        """
        return _packages.load("pandas", "to_pandas", "pandas").DataFrame(self.to_rows())

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the result in words, the first rows of the table, and the figure."""
        rows = self.to_rows()
        parts = [f"<p>{escape(repr(self))}</p>", _table(rows[:_MOST_ROWS])]
        if len(rows) > _MOST_ROWS:
            parts.append(f"<p>The first {_MOST_ROWS} of {len(rows):,} rows; <code>to_pandas()</code> has all.</p>")
        return "".join([*parts, self._drawn()])

    def _drawn(self) -> str:
        """Return the figure as SVG; empty text without matplotlib, and if there is nothing to plot."""
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError:
            return ""
        figure = Figure(figsize=_INCHES, layout="constrained")  # not one of pyplot, which a notebook would show again
        if self.plot(figure.subplots()) is None:
            return ""
        stream = io.StringIO()
        figure.savefig(stream, format="svg")
        svg = stream.getvalue()
        return svg[svg.index("<svg") :]


def _table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th style="{_CELL}">{escape(str(name))}</th>' for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(_shown(value))}</td>' for value in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
