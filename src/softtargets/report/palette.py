"""The colours of pages and figures, for a light and a dark background.

The series colours are those of Okabe and Ito, adjusted to a contrast of at least 3:1 with the background; text has at
least 4.5:1. Figures distinguish series also by shape or dash.
"""

from collections.abc import Callable

Colour = Callable[[str], str]

COLOURS: dict[str, tuple[str, str]] = {
    "ground": ("#fdfdfb", "#15171b"),
    "raised": ("#f5f4ef", "#1d2026"),
    "ink": ("#1d1e20", "#e8e6e1"),
    "muted": ("#5b5e63", "#a5a9b0"),
    "line": ("#dddbd4", "#33373f"),
    "link": ("#0b5a8a", "#82c4f2"),
    "good": ("#0a6b52", "#5fd0ac"),
    "bad": ("#b23a08", "#ff9a66"),
    "open": ("#6b5a10", "#dcc25e"),
    "rest": ("#5b5e63", "#a5a9b0"),
    "baseline": ("#6a6d72", "#a9adb4"),
    "series-0": ("#0072b2", "#5ab4ee"),
    "series-1": ("#d05400", "#ff8f4a"),
    "series-2": ("#008a63", "#35c79a"),
    "series-3": ("#a8458f", "#e59ad0"),
    "series-4": ("#8a6d00", "#e3c34d"),
    "series-5": ("#4b4fc4", "#a3a6ff"),
    "ramp-0": ("#6a6d72", "#a9adb4"),
    "ramp-1": ("#2a958f", "#a3e3cd"),
    "ramp-2": ("#1f78a8", "#5cc2d8"),
    "ramp-3": ("#3a4fa6", "#7fa2f5"),
    "ramp-4": ("#43206f", "#bb94f7"),
}
SERIES = tuple(name for name in COLOURS if name.startswith("series-"))
RAMP = tuple(name for name in COLOURS if name.startswith("ramp-"))
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
DASHES = ((1, 0), (7, 3), (2, 2), (8, 3, 2, 3), (4, 2), (10, 2), (1, 3))


def on_page(name: str) -> str:
    """Return the colour as a CSS variable of the page, which changes with the theme."""
    return f"var(--{name})"


def in_file(name: str) -> str:
    """Return the colour for a figure on a white background."""
    return COLOURS[name][0]


def spaced(n: int) -> tuple[str, ...]:
    """Return `n` colours of the ramp, evenly spaced; beyond its length the last colour repeats."""
    last = len(RAMP) - 1
    if n <= 1:
        return RAMP[:n]
    return tuple(RAMP[min(last, round(i * last / (min(n, len(RAMP)) - 1)))] for i in range(n))
