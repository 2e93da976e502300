"""An ensemble as a classifier."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from softtargets._errors import fail, fail_type
from softtargets.calibration.calibrator import Calibrator
from softtargets.data.preprocessing import Preprocessing
from softtargets.data.tokens import TokenRows
from softtargets.ensembles.combining import Combination
from softtargets.train import Classifier, NetworkClassifier


class Ensemble(Classifier):
    """Several trained networks as one classifier: their outputs are combined and then calibrated.

    It takes what :class:`Classifier` takes, and is exported like one. Its `logits` are those of the combination.

    Args:
        members: classifiers of single runs without calibrators, on the same data.
        combination: from the logits of the members to those of the ensemble.
        calibrator: fitted on combined logits; None: without one.

    Raises:
        InputError: if there is no member, a member has a calibrator, members have different classes or inputs, or the
            combination is that of another number of members.
        InputTypeError: if a member is not the classifier of a run.
    """

    def __init__(
        self,
        members: Sequence[NetworkClassifier],
        combination: Combination,
        calibrator: Calibrator | None = None,
    ) -> None:
        if not len(members):
            raise fail("members", "at least one classifier", "none", "pass trained members")
        for place, member in enumerate(members):
            if not isinstance(member, NetworkClassifier):
                remedy = "pass load_run(folder).classifier, or member.classifier of those of load_ensemble(folder)"
                raise fail_type(f"members[{place}]", "the classifier of a run", type(member).__name__, remedy)
            if member.calibrator is not None:
                remedy = "pass it without: combined outputs are calibrated by `calibrator`"
                raise fail(f"members[{place}]", "a classifier without calibrator", f"{member.calibrator!r}", remedy)
        if combination.num_members not in (None, len(members)):
            got = f"one of {combination.num_members} members with {len(members)} members"
            raise fail("combination", "one of as many members as there are", got, "fit it to these members")
        first = members[0]
        super().__init__(first.class_names, calibrator)
        for place, member in enumerate(members):
            if member.class_names != first.class_names or member.preprocessing.kind != first.preprocessing.kind:
                required = "classifiers of the same classes and inputs"
                raise fail("members", required, f"others in members[{place}]", "train all of them on the same data")
        self.members, self.combination = nn.ModuleList(members), combination

    @property
    def preprocessing(self) -> Preprocessing:
        """How inputs are read: that of the first member. Each member normalises them itself."""
        return self._members()[0].preprocessing

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) for images, (D,) for a table or word counts, a :class:`TokenShape` for tokens."""
        return self._members()[0].input_shape

    def scores(self, *inputs: Tensor) -> Tensor:
        """Return the (N, K) float32 logits, without calibrator, of a batch of tensors; see :meth:`forward`."""
        return self.combination(torch.stack([member.scores(*inputs) for member in self._members()]))

    def member_logits(self, rows: Tensor | TokenRows) -> Tensor:
        """Return the (M, n, K) float32 logits of the members for rows that :func:`read_given` returned."""
        return torch.stack([member.logits_of_rows(rows) for member in self._members()])

    def logits_of_rows(self, rows: Tensor | TokenRows) -> Tensor:
        """Return the (n, K) float32 logits, on the CPU, of a batch of rows that :func:`read_given` returned."""
        logits = self.member_logits(rows)
        device = next((buffer.device for buffer in self.combination.buffers()), logits.device)
        return self.combination(logits.to(device)).cpu()

    def _members(self) -> list[NetworkClassifier]:
        return [member for member in self.members if isinstance(member, NetworkClassifier)]
