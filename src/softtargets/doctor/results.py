"""The result of a diagnosis: what the command prints and what the Python function returns."""

from dataclasses import asdict, dataclass
from typing import Any

from softtargets.doctor.treatment import Statement


@dataclass(frozen=True)
class TargetRow:
    """The target of a label.

    Args:
        label: the label; None: any label.
        total: sum of the target: the factor of the gradient. For independent labels it is the number of positive ones.
        target: an entry for each column of the table.
        minimiser: the probabilities that minimise the loss; None: there is no minimum, or the
            loss is constant.
    """

    label: int | None
    total: float
    target: tuple[float, ...]
    minimiser: tuple[float, ...] | None


@dataclass(frozen=True)
class FaultFinding:
    """A known fault that applies to the configuration.

    Args:
        name: of the fault.
        title: one sentence.
        affects: "target" (what is learned), "gradient" (how fast) or "report" (what is logged).
        condition: when it applies; None: always.
        effect: what is computed, with numbers.
        remedy: what to do.
        versions: of the library that it concerns; "": every version.
        issue: where it is described, as owner/name#number; None: it was found by running the library.
        link: address of the issue.
    """

    name: str
    title: str
    affects: str
    condition: str | None
    effect: str
    remedy: str
    versions: str
    issue: str | None
    link: str | None


@dataclass(frozen=True)
class Equivalent:
    """The same training with this package.

    Args:
        code: Python that defines `loss`, without the faults.
        same_numbers: Python that defines a `loss` with the numbers of the library; None: `code` gives them, or nothing
            does (see `note`).
        toml: tables of a specification for ``softtargets train``; None: there is none.
        note: what the code does differently; None: nothing.
        toml_note: what the tables do not express, or why there are none; None: nothing to say.
    """

    code: str
    same_numbers: str | None = None
    toml: str | None = None
    note: str | None = None
    toml_note: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What a configured loss computes.

    Args:
        library: its name.
        version: of the library, for which the faults were looked up.
        loss: name of the loss in its library.
        num_classes: K; 1: one sigmoid.
        assumed_classes: whether K is a default, because nothing says what it is.
        columns: names of the columns of the targets.
        rows: the target of each label, or of one label for all.
        statements: on ignored labels, accumulation, mixing and validation.
        findings: known faults, those that always apply first.
        equivalent: the same training with this package.
        notes: further sentences.
        not_read: options that do not affect the loss, or are unknown.
    """

    library: str
    version: str
    loss: str
    num_classes: int
    assumed_classes: bool
    columns: tuple[str, ...]
    rows: tuple[TargetRow, ...]
    statements: tuple[Statement, ...]
    findings: tuple[FaultFinding, ...]
    equivalent: Equivalent
    notes: tuple[str, ...]
    not_read: tuple[str, ...]

    def __repr__(self) -> str:
        names = ", ".join(finding.name for finding in self.findings) or "none"
        return f"Diagnosis({self.loss}, {self.library} {self.version}, faults: {names})"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name as Python numbers, strings, lists and dicts."""
        return asdict(self)
