"""Noise that depends on the input."""

import torch

from softtargets import noise
from softtargets._errors import fail
from softtargets._spec import Fraction
from softtargets.data.batches import Inputs
from softtargets.data.dataset import Dataset
from softtargets.data.noise.kind import NoiseKind, ObservedLabels, noise_kind


@noise_kind("instance")
class InstanceNoise(NoiseKind):
    """Noise that depends on the input (Xia et al. 2020). `spread` is the standard deviation of the examples' rates."""

    rate: Fraction
    spread: Fraction = 0.1

    def observe(self, dataset: Dataset, generator: torch.Generator) -> ObservedLabels:
        if dataset.tokenizer is not None:
            remedy = "use another kind of noise, or remove data.tokenizer"
            raise fail("noise", "inputs that are numbers, for 'instance'", "rows of tokens", remedy)
        rows = torch.cat([dataset.splits[split] for split in self.splits])
        model = noise.instance_dependent(
            Inputs(dataset, torch.device("cpu")).batch(rows).flatten(1),  # the inputs of a model
            dataset.labels[rows],
            self.rate,
            dataset.num_classes,
            spread=self.spread,
            generator=generator,
        )
        labels = dataset.labels.clone()
        labels[rows] = noise.corrupt(dataset.labels[rows], model, generator=generator).noisy_labels
        return ObservedLabels.compare(labels, dataset, self.splits)
