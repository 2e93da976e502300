"""What people review: the most suspect labels, and a random sample of the others."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.audit.examples import IMAGE
from softtargets.audit.previews import png_of
from softtargets.audit.review.folder import AuditFolder

# Suspects that are exported by default.
FIRST = 2_000
SUSPECT, RANDOM = "suspect", "random"


@dataclass(frozen=True, eq=False)
class Picture:
    """An image.

    Args:
        pixels: returns (C, H, W) pixels in [0, 255], C = 1 or 3, as the models saw them.
        path: of its file, if it is a file of its own.
    """

    pixels: Callable[[], Tensor]
    path: Path | None

    def file(self) -> tuple[bytes, str]:
        """Return the bytes of the file of the image, or of a PNG file, and the suffix of its name."""
        if self.path is None:
            pixels = self.pixels()
            return png_of(pixels, max(pixels.shape))[0], ".png"
        return self.path.read_bytes(), self.path.suffix.lower()

    def small(self, most: int) -> tuple[bytes, int]:
        """Return a PNG file whose sides are at most this long, in pixels, and its width."""
        return png_of(self.pixels(), most)


@dataclass(frozen=True)
class ReviewItem:
    """One label to review.

    Args:
        row: of the audited labels, counted from 0.
        rank: place among the suspects, counted from 1; None for a row that was drawn at random.
        given, suggested: class indices.
        wrong: probability that the given label is wrong.
        text: the text of the row, or None.
        picture: the image of the row, or None.
        numbers: the columns of the row of a table.
    """

    row: int
    rank: int | None
    given: int
    suggested: int
    wrong: float
    text: str | None = None
    picture: Picture | None = None
    numbers: tuple[tuple[str, float], ...] = ()

    @property
    def drawn(self) -> str:
        """Why the row is reviewed: "suspect" or "random"."""
        return RANDOM if self.rank is None else SUSPECT


@dataclass(frozen=True, eq=False)
class ReviewBatch:
    """The labels that are reviewed together.

    Args:
        items: the suspects, most suspect first, and then the random rows in ascending order.
        class_names: of the audited labels.
        title: name of the audited data.
        exported: number of suspects among the items; they are the first ones of the ranking.
        folder: path of the folder of the audit, as text.
    """

    items: tuple[ReviewItem, ...]
    class_names: tuple[str, ...]
    title: str
    exported: int
    folder: str


def choose_items(folder: AuditFolder, *, first: int | None, random: int, seed: int) -> ReviewBatch:
    """Choose the labels to review.

    Args:
        folder: of the audit.
        first: number of suspects; None: all, at most 2,000.
        random: number of other labels, drawn at random. They show how many labels are wrong that are no suspects.
        seed: of the draw.

    Raises:
        InputError: a number below 0, more random rows than there are, or nothing to review.
    """
    for name, value in (("first", first), ("random", random)):
        if value is not None and (type(value) is not int or value < 0):
            raise fail(name, "a whole number of at least 0", repr(value), "give the number of labels to review")
    suspects = folder.suspects[: FIRST if first is None else first]
    others = torch.ones(folder.num_rows, dtype=torch.bool)
    others[suspects] = False
    others = (others & ~folder.reviewed).nonzero()[:, 0]
    if random > len(others):
        raise fail("random", f"at most {len(others):,}, the number of other labels", random, "draw fewer labels")
    generator = torch.Generator().manual_seed(seed)
    drawn = others[torch.randperm(len(others), generator=generator)[:random]].sort().values
    if not len(suspects) + len(drawn):
        got = f"{len(folder.suspects):,} suspects, of which 0 are chosen, and 0 random labels"
        raise fail("first", "a label to review", got, "draw labels at random: random=200")
    show = _shown(folder)
    ranked = [(row, rank) for rank, row in enumerate(suspects.tolist(), 1)]
    items = tuple(show(row, rank) for row, rank in [*ranked, *((row, None) for row in drawn.tolist())])
    return ReviewBatch(items, folder.class_names, str(folder.content["name"]), len(suspects), str(folder.path))


def _shown(folder: AuditFolder) -> Callable[[int, int | None], ReviewItem]:
    """Return a function that makes the item of a row and its rank."""
    dataset, examples = folder.dataset, folder.examples
    given, suggested, wrong = folder.given.tolist(), folder.suggested.tolist(), folder.wrong.tolist()
    rows = [] if dataset is None else dataset.splits["train"].tolist()
    paths = examples.shown if examples is not None and examples.column == IMAGE else None

    def item(row: int, rank: int | None) -> ReviewItem:
        own = ReviewItem(row, rank, given[row], suggested[row], wrong[row])
        if dataset is None:
            return own
        if dataset.is_image:
            path, inputs, place = None if paths is None else Path(paths[row]), dataset.inputs, rows[row]
            return replace(own, picture=Picture(lambda: inputs[place], path))
        if dataset.texts is not None:
            return replace(own, text=dataset.texts[rows[row]])
        values = dataset.inputs[rows[row]].tolist()
        return replace(own, numbers=tuple(zip(dataset.columns, values, strict=True)))

    return item
