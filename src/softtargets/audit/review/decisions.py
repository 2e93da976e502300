"""What people decided, as the files of the formats tell it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softtargets._errors import InputError, fail, nearest
from softtargets.audit.checked import class_of
from softtargets.audit.review.folder import AuditFolder
from softtargets.audit.review.items import RANDOM, SUSPECT

# What a person writes who cannot tell the class.
CANNOT_TELL = "?"


@dataclass(frozen=True)
class Decision:
    """What one person decided on one row.

    Args:
        row: of the audited labels.
        label: the class; None if the person could not tell.
        reviewer: name of the person.
        drawn: "suspect" or "random", why the row was reviewed; empty if the file does not say.
        exported: number of suspects that were exported together with the row; 0 if the file does not say.
    """

    row: int
    label: int | None
    reviewer: str
    drawn: str = ""
    exported: int = 0


class DecisionReader:
    """Checks the fields of a file of decisions, and names the place of one that is wrong.

    Args:
        path: of the file.
        audit: the folder of the audit.
    """

    def __init__(self, path: Path, audit: AuditFolder) -> None:
        self.path = path
        self._audit = audit
        self._places = {name: place for place, name in enumerate(audit.class_names)}

    def decision(self, fields: Mapping[str, Any], label: str | None, reviewer: str, place: str) -> Decision:
        """Return the decision on a row.

        Args:
            fields: of the row: "row", and if the file has them "drawn", "exported" and "given".
            label: the name or the index of a class; None for "cannot tell".
            reviewer: name of the person; empty: the name of the file.
            place: of the row in the file, for errors.

        Raises:
            InputError: a row or class that there is not, or a row of another audit.
        """
        row = self._whole(fields, "row", place)
        if row >= self._audit.num_rows:
            required = f"rows below {self._audit.num_rows:,}, the number of audited labels"
            raise self.bad(required, row, place, "give decisions on this audit")
        self._check_given(fields, row, place)
        drawn = str(fields.get("drawn") or "")
        exported = self._whole(fields, "exported", place) if fields.get("exported") not in (None, "") else 0
        known = None if label is None else self.class_of(label, place)
        return Decision(row, known, reviewer or self.path.stem, drawn if drawn in (SUSPECT, RANDOM) else "", exported)

    def class_of(self, name: str, place: str) -> int:
        """Return the index of a class. Names may have the quote that keeps spreadsheets from reading a formula."""
        found = class_of(name, self._places)
        if found is None and name.startswith("'"):
            found = self._places.get(name[1:])
        if found is None:
            close = nearest(name, self._places)
            remedy = f"did you mean '{close}'?" if close else f"write a class, or {CANNOT_TELL} if you cannot tell"
            raise self.bad("a class", repr(name), place, remedy)
        return found

    def bad(self, required: str, got: object, place: str, remedy: str) -> InputError:
        """Build the error of a bad field."""
        return fail("decisions", required, f"{got} in {place} of {self.path}", remedy)

    def _whole(self, fields: Mapping[str, Any], name: str, place: str) -> int:
        text = str(fields.get(name, "")).strip()
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise self.bad(f"a whole number as {name}", repr(fields.get(name)), place, "keep the exported columns")
        return int(text)

    def _check_given(self, fields: Mapping[str, Any], row: int, place: str) -> None:
        """Require that the file tells the label that was audited, if it tells one."""
        given = fields.get("given")
        if given in (None, ""):
            return
        audited = int(self._audit.given[row])
        if self.class_of(str(given), place) != audited:
            required = f"the audited label of row {row}, {self._audit.class_names[audited]}, as given"
            raise self.bad(required, repr(given), place, "give the decisions on this audit")
