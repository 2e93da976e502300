"""Target rules for texts: smoothing that depends on the words of the training texts and of the class names."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor

from softtargets import targets
from softtargets._errors import fail
from softtargets._spec import Fraction, Positive
from softtargets.data.class_texts import class_texts
from softtargets.objectives.class_tables import TableRule
from softtargets.objectives.context import Batch, ObjectiveContext, TrainingData
from softtargets.objectives.objective import objective
from softtargets.objectives.target_rules import TargetRule


class TextRule(TargetRule):
    """Base class of target rules that read the training texts.

    `convention` "others" gives all smoothing to the classes other than the label's; the default "all" lets the label's
    class take part. With `class_names`, the name of each class counts as one more text of the class.
    """

    smoothing: Fraction = 0.1
    temperature: Positive = 0.1
    convention: Literal["all", "others"] | None = None
    class_names: bool | None = None

    def documents(self, data: TrainingData) -> tuple[list[str], Tensor]:
        """Return the texts that words are counted in, and their observed labels.

        Raises:
            InputError: if the data set has no texts, or a class name that is needed has no words.
        """
        texts, labels = self.training_texts(data)
        if self.class_names:
            texts = [*texts, *class_texts("objective.class_names", data.class_names)]
            labels = torch.cat([labels, torch.arange(len(data.class_names))])
        return texts, labels

    def training_texts(self, data: TrainingData) -> tuple[list[str], Tensor]:
        """Return the training texts that have a label, and their observed labels.

        Raises:
            InputError: if the data set has no texts.
        """
        if data.texts is None:
            required, got = f"a data set of texts for '{self.name}'", f"inputs of shape {data.input_shape}"
            raise fail("objective", required, got, "use another objective, or a set of texts")
        rows = data.labelled_train
        return [data.texts[row] for row in rows.tolist()], data.labels[rows]


@objective("tfidf_smoothing")
class TfIdfSmoothing(TextRule, TableRule):
    """TF-IDF smoothing: classes whose training texts share words with the label's share the smoothing (LS-TFIDF).

    Our interpretation of Liu et al. 2022. A lower temperature gives more weight to the most similar classes. In the
    default `convention` "all" the label's class, which is most similar to itself, gets most of the smoothing back; with
    "others" it gets none. With `class_names`, the name of each class counts as one more text of the class.
    """

    pages: ClassVar[Mapping[str, str]] = {"tfidf-smoothing": ""}

    def table_of(self, context: ObjectiveContext, data: TrainingData) -> Tensor:
        texts, labels = self.documents(data)
        return targets.tfidf_table(
            texts,
            labels,
            num_classes=context.num_classes,
            smoothing=self.smoothing,
            temperature=self.temperature,
            convention=self.convention or "all",
        )


@objective("keyword_smoothing")
class KeywordSmoothing(TextRule):
    """Keyword-based smoothing: classes whose keywords a text contains share the smoothing (KWLS).

    Our interpretation of Liu et al. 2022. The `size` keywords of each class are found in the training texts. A lower
    temperature gives more weight to the class whose keywords fit best. In the default `convention` "all" the label's
    class, whose keywords its own texts contain, gets most of the smoothing back; with "others" it gets none. With
    `class_names`, the name of each class counts as one more text of the class.
    """

    pages: ClassVar[Mapping[str, str]] = {"keyword-smoothing": ""}

    size: Annotated[int, Field(ge=1)] = 20
    _scores: Tensor = PrivateAttr()

    def begin(self, context: ObjectiveContext) -> None:
        data = context.require_data(self.name)
        keywords = targets.ClassKeywords(context.num_classes, size=self.size).fit(*self.documents(data))
        scores = torch.zeros(context.num_examples, context.num_classes)
        scores[data.labelled_train] = keywords.scores(self.training_texts(data)[0]).float()
        self._scores = scores.to(context.device)

    def targets_of(self, batch: Batch, generator: torch.Generator) -> targets.Targets:
        return targets.smooth_by_scores(
            batch.labels,
            self._scores[batch.ids],
            smoothing=self.smoothing,
            temperature=self.temperature,
            convention=self.convention or "all",
        )
