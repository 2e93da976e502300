"""A trained classifier as a module: inputs as users have them, preprocessing, network and calibrator."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from softtargets._arrays import ArrayLike, as_tensor
from softtargets.calibration.calibrator import Calibrator
from softtargets.data.batches import predicted_texts
from softtargets.data.given import check_given, columns_of, is_frame, read_given
from softtargets.data.preprocessing import Normalisation, Preprocessing
from softtargets.data.tokens import NetworkInputs, TokenRows, Tokens, TokenShape, to_device
from softtargets.runs.network import ROWS


class Classifier(nn.Module):
    """A trained classifier: what :class:`NetworkClassifier` and :class:`~softtargets.ensembles.Ensemble` share.

    `predict_proba` takes inputs as users have them. :meth:`forward` takes batches of tensors; it is what programs are
    exported from.

    Args:
        class_names: the name of each class.
        calibrator: fitted; None: probabilities are the softmax of the logits.

    Attributes:
        class_names: as the argument.
        calibrator: as the argument.
    """

    def __init__(self, class_names: Sequence[str], calibrator: Calibrator | None = None) -> None:
        super().__init__()
        self.class_names, self.calibrator = tuple(class_names), calibrator

    @property
    @abstractmethod
    def preprocessing(self) -> Preprocessing:
        """How inputs are read and normalised."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) for images, (D,) for a table or word counts, a :class:`TokenShape` for tokens."""

    @abstractmethod
    def scores(self, *inputs: Tensor) -> Tensor:
        """Return the (N, K) float32 logits, without calibrator, of a batch of tensors; see :meth:`forward`."""

    @abstractmethod
    def logits_of_rows(self, rows: Tensor | TokenRows) -> Tensor:
        """Return the (n, K) float32 logits, on the CPU, of a batch of rows that :func:`read_given` returned."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the probabilities of a batch of tensors that are not normalised, in float32.

        Args:
            inputs: (N, C, H, W) uint8 for images of the size that the network takes; (N, D) float64 for a table;
                (N, 4096) uint8 for texts, from :func:`softtargets.data.count_words`; for tokens their (N, L) int64 ids
                and the (N, L) bool mask, False at padding.

        Returns:
            (N, K) float32, calibrated if there is a calibrator.
        """
        return self.calibrated(self.scores(*inputs)).softmax(-1)

    def example(self, rows: int = 2) -> tuple[Tensor, ...]:
        """Return a batch of tensors of the shape and type that :meth:`forward` takes; zeros, or padding-free tokens."""
        shape = self.input_shape
        if isinstance(shape, TokenShape):
            width = min(shape.max_length, 8)
            return torch.zeros(rows, width, dtype=torch.int64), torch.ones(rows, width, dtype=torch.bool)
        view = self.preprocessing.view
        size = shape if view is None else (view.channels, *view.test)
        return (torch.zeros(rows, *size, dtype=torch.float64 if self.preprocessing.kind == "table" else torch.uint8),)

    def logits(self, inputs: ArrayLike | Sequence[Any]) -> Any:
        """Return the (N, K) float32 logits of inputs as users have them, without the calibrator.

        They are computed in batches, in the precision in which the network was trained.

        Args:
            inputs: images: a tensor or an array (N, C, H, W) uint8, whose images are not resized; or a list of images
                of any size, each a :class:`pathlib.Path`, an image of Pillow, or an array (H, W) or (H, W, 3) uint8. A
                table: (N, D) numbers, a data frame with the columns of the training data, or a list of mappings from
                these columns to numbers. Texts: a list of texts.

        Returns:
            A tensor, or an array if an array or a data frame was given.

        Raises:
            InputError: if the shape is not that of the training inputs, an image cannot be decoded, or a text has more
                tokens than the network takes.
            InputTypeError: if they are of another type.
        """
        given, as_array = self._given(inputs)
        size = self._batch_rows()
        parts = (given[start : start + size] for start in range(0, len(given), size))
        found = [self.logits_of_rows(read_given(part, self.preprocessing, self.input_shape)) for part in parts]
        logits = torch.cat(found) if found else torch.zeros(0, len(self.class_names))
        return logits.numpy() if as_array else logits

    def predict_proba(self, inputs: ArrayLike | Sequence[Any]) -> Any:
        """Return the (N, K) float32 probabilities of the classes, calibrated if there is a calibrator.

        The inputs are those of :meth:`logits`.
        """
        logits = self.logits(inputs)
        found = self.calibrated(torch.as_tensor(logits)).softmax(-1)
        return found if isinstance(logits, Tensor) else found.numpy()

    def predict(self, inputs: ArrayLike | Sequence[Any]) -> Any:
        """Return the (N,) int64 indices of the most probable classes. The inputs are those of :meth:`logits`."""
        logits = self.logits(inputs)
        found = self.calibrated(torch.as_tensor(logits)).argmax(-1)
        return found if isinstance(logits, Tensor) else found.numpy()

    def calibrated(self, logits: Tensor) -> Tensor:
        """Return the calibrator's log-probabilities of (N, K) logits; the logits themselves without a calibrator."""
        if self.calibrator is None:
            return logits
        # the module may be on an accelerator, and logits of inputs as users have them are on the CPU
        return self.calibrator(logits.to(self.calibrator.converged.device)).to(logits.device)

    def _given(self, inputs: Any) -> tuple[Any, bool]:
        """Return inputs as a tensor or a list, and whether they were an array or a data frame."""
        if is_frame(inputs):
            inputs = columns_of(inputs, self.preprocessing)
        converted = as_tensor("inputs", inputs)
        check_given(converted, self.preprocessing)
        return converted, converted is not inputs

    def _batch_rows(self) -> int:
        shape = self.input_shape
        return predicted_texts(shape.max_length, torch.device("cpu")) if isinstance(shape, TokenShape) else ROWS


class NetworkClassifier(Classifier):
    """One trained network with its preprocessing and, where it was fitted, its calibrator.

    Args:
        network: in evaluation mode; returns (N, K) logits of normalised inputs.
        preprocessing: of the training data.
        input_shape: of one input.
        class_names: the name of each class.
        precision: in which the network was trained, and in which :meth:`logits` runs it. :meth:`forward` always
            computes in float32.
        calibrator: fitted on held-out logits; None: without one.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        input_shape: tuple[int, ...],
        class_names: Sequence[str],
        *,
        precision: str = "float32",
        calibrator: Calibrator | None = None,
    ) -> None:
        super().__init__(class_names, calibrator)
        self.network, self.precision = network, precision
        self._preprocessing, self._input_shape = preprocessing, input_shape
        self.normalisation = None if preprocessing.kind == "tokens" else Normalisation(preprocessing)

    @property
    def preprocessing(self) -> Preprocessing:
        """How inputs are read and normalised."""
        return self._preprocessing

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) for images, (D,) for a table or word counts, a :class:`TokenShape` for tokens."""
        return self._input_shape

    def scores(self, *inputs: Tensor) -> Tensor:
        """Return the (N, K) float32 logits, without calibrator, of a batch of tensors; see :meth:`forward`."""
        if self.normalisation is None:
            return self.network(Tokens(*inputs)).float()
        return self.network(self.normalisation(*inputs)).float()

    def normalize(self, inputs: ArrayLike | Sequence[Any]) -> Any:
        """Return inputs as the network takes them; :meth:`logits_of_normalized` takes the result.

        Args:
            inputs: those of :meth:`logits`.

        Returns:
            (N, ...) float32; for a network of tokens N rows of :class:`Tokens`. A tensor, or an array if an array was
            given.
        """
        given, as_array = self._given(inputs)
        rows = read_given(given, self.preprocessing, self.input_shape)
        found = self._normalised(rows)
        return found.numpy(force=True) if as_array else found

    def logits_of_normalized(self, inputs: NetworkInputs) -> Tensor:
        """Return the (N, K) float32 logits, without calibrator, of one batch that is normalised already."""
        device = next(self.network.parameters()).device
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return self.network(to_device(inputs, device)).float()

    def logits_of_rows(self, rows: Tensor | TokenRows) -> Tensor:
        return self.logits_of_normalized(self._normalised(rows)).cpu()

    def _normalised(self, rows: Tensor | TokenRows) -> Any:
        return self.preprocessing.on(rows.device if isinstance(rows, Tensor) else torch.device("cpu"))(rows)
