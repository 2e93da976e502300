"""What is fixed before any result, and what cannot be concluded, in sentences."""

from softtargets.compare.inputs import CompareInputs
from softtargets.compare.plan import ComparePlan
from softtargets.compare.selection import ChosenSettings


def protocol_of(inputs: CompareInputs, plan: ComparePlan) -> tuple[str, ...]:
    """Return the protocol."""
    rows = {split: f"{len(ids):,}" for split, ids in inputs.dataset.labelled_splits.items()}
    test = "the data set's own" if inputs.own_test else "held out once, with the share of each class"
    choice = (
        "Each method has its usual hyper-parameters, because the budget does not allow a choice."
        if plan.usual
        else "The hyper-parameters of a method are those with the lowest NLL on the validation split after a "
        "temperature. They are chosen by successive halving: with each selection seed the better half goes on."
    )
    finalists = (
        ()
        if plan.finalists is None
        else (
            f"The {plan.finalists} methods with the lowest NLL on the validation split go on to the verdict, because "
            "the budget does not allow more.",
        )
    )
    return (
        f"One split: {rows['train']} rows for training, {rows['validation']} for validation and {rows['test']} for the "
        f"test, which is {test}. Network, optimiser, length and batch size are the same for all methods.",
        choice + " The seeds of the choice are not used for the verdict.",
        *finalists,
        f"Verdict: {plan.seeds} repetitions of each method. Repetition s of every method has the same initial weights, "
        "order of the rows, augmentation and dropout. The weights are those after the last step, or of the epoch that "
        "the validation split selects if the specification has evaluate_every.",
        "The test split is read only for the verdict. Temperatures are fitted on the validation split, one for each "
        "repetition; where the fit ends at a bound, T is 1.",
        "Differences from cross entropy are paired by repetition and by test row. Their standard error is that of new "
        "seeds and new test rows: a two-way analysis of variance with the degrees of freedom of Satterthwaite. For ECE "
        "and AURC the numbers of a row are pseudo-values of the jackknife.",
        "Three networks of cross entropy from different seeds are an ensemble; no network is in two of them.",
    )


def limits_of(inputs: CompareInputs, selection: ChosenSettings) -> tuple[str, ...]:
    """Return what cannot be concluded."""
    size = len(inputs.dataset.splits["validation"])
    said = [
        "The result holds for this network, this recipe and this split. Another network may need another method. The "
        f"choice of hyper-parameters and the temperatures depend on {size:,} validation rows; no interval counts that.",
        "ECE of a finite sample is above 0 even for a calibrated network, for all methods alike.",
    ]
    if inputs.noise is not None:
        said.append(
            f"In training and validation, {inputs.noise}. The test labels are those of the data. A temperature that is "
            "fitted on noisy labels makes predictions less confident than is right on clean ones."
        )
    elif not selection.noise:
        said.append(
            f"Label noise was estimated on the validation split: {selection.noise_found}. The test labels come from "
            "the same source, so they are as wrong. Every accuracy is then that on wrong labels. If wrong labels are "
            "independent of the input, the order of the methods is that on true labels, and the differences are too "
            "small. If mistakes are systematic, a method that reproduces them can seem better. NLL and ECE measure "
            "agreement with the noisy labels: methods that predict the true class, such as forward correction, can "
            "seem calibrated worse than they are. Only a test split whose labels were checked by hand can tell."
        )
    else:
        said.append(
            f"Label noise was not established ({selection.noise}). If test labels are wrong all the same, accuracies "
            "and differences are those on wrong labels."
        )
    return tuple(said)
