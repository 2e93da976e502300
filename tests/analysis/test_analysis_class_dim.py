"""The dimension of the classes in the functions of analysis that take logits or probabilities."""

import pytest
import torch

from softtargets import analysis

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(4, 5, 3, generator=GENERATOR)
LABELS = torch.arange(20).reshape(4, 5) % 3


@pytest.mark.parametrize("name", ["class_means", "minor_means", "stability", "inter_class_stability", "logit_gap"])
def test_classes_may_be_in_any_dimension(name) -> None:
    function = getattr(analysis, name)
    scores = LOGITS if name == "logit_gap" else LOGITS.softmax(-1)
    expected = function(scores, LABELS)
    assert torch.equal(function(scores.movedim(-1, 1), LABELS, class_dim=1), expected)
    assert function(scores.movedim(-1, 0).numpy(), LABELS.numpy(), class_dim=0).tolist() == expected.tolist()
