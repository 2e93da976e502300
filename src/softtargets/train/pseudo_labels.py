"""How many pseudo-labels of an epoch were used, and how many of them are right."""

from torch import Tensor

from softtargets.data.dataset import Dataset
from softtargets.objectives.unlabelled import UNSEEN


def pseudo_label_shares(classes: Tensor | None, dataset: Dataset) -> dict[str, float]:
    """Return shares of the unlabelled rows of an epoch for its history.

    Args:
        classes: what :meth:`softtargets.objectives.Objective.pseudo_labels` returned at the end of the epoch.
        dataset: of the run. Its hidden labels are used for these shares only, and training never sees them.

    Returns:
        "pseudo_labels": the share of the rows whose pseudo-label was used, if there were any rows.
        "pseudo_label_accuracy": the share of the used pseudo-labels that are the hidden label, if any is known.
    """
    if classes is None:
        return {}
    found = classes.cpu().long()
    seen, used = found > UNSEEN, found >= 0
    if not bool(seen.any()):
        return {}
    shares = {"pseudo_labels": float(used.sum() / seen.sum())}
    hidden = dataset.hidden
    known = None if hidden is None else used & hidden
    if known is not None and bool(known.any()):
        shares["pseudo_label_accuracy"] = float((found == dataset.labels)[known].double().mean())
    return shares
