"""What is fixed before any result, and what cannot be concluded, in sentences."""

from softtargets.compare.inputs import CompareInputs
from softtargets.compare.plan import ComparePlan
from softtargets.compare.selection import ChosenSettings
from softtargets.metrics import label_uncertainty
from softtargets.report import numbers

# Fewer repetitions say little about chance between trainings.
FEW_SEEDS = 4


def votes_measured(inputs: CompareInputs) -> str | None:
    """Return what the measures are against if labels are votes, as a clause; None for classes."""
    dataset = inputs.dataset
    if dataset.votes is None:
        return None
    best = label_uncertainty(dataset.votes[dataset.splits["test"]])
    accuracy, nll = numbers.number(1 - float(best.error), "percent"), numbers.number(float(best.nll), "nats")
    return (
        "accuracy, NLL, ECE and AURC are the expected ones against a label that is drawn from the votes of each test "
        f"row; no predictions reach an accuracy above {accuracy} % or an NLL below {nll} nats"
    )


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
    targets = (
        ()
        if inputs.dataset.votes is None
        else (
            "Labels are votes. Cross entropy and all methods that take a distribution are trained on the shares of "
            "votes of each row. Temperatures and hyper-parameters are chosen by the NLL against the votes of the "
            "validation split, and all measures are against the votes of the test split.",
        )
    )
    return (
        f"One split: {rows['train']} rows for training, {rows['validation']} for validation and {rows['test']} for the "
        f"test, which is {test}. Network, optimiser, length and batch size are the same for all methods.",
        *targets,
        choice + " The seeds of the choice are not used for the verdict.",
        *finalists,
        f"Verdict: {plan.seeds} repetitions of each method. Repetition s of every method has the same initial weights, "
        "order of the rows, augmentation and dropout. The weights are those after the last step, or of the epoch that "
        "the validation split selects if the specification has evaluate_every.",
        "The test split is read only for the verdict. Temperatures are fitted on the validation split, one for each "
        "repetition; if all validation rows are predicted correctly, to the smoothed targets of Platt (1999).",
        "Differences from cross entropy are paired by repetition and by test row. Their standard error is that of new "
        "seeds and new test rows: a two-way analysis of variance with the degrees of freedom of Satterthwaite. For ECE "
        "and AURC the numbers of a row are pseudo-values of the jackknife.",
        "Three networks of cross entropy from different seeds are an ensemble; no network is in two of them.",
    )


def limits_of(inputs: CompareInputs, plan: ComparePlan, selection: ChosenSettings) -> tuple[str, ...]:
    """Return what cannot be concluded."""
    size = len(inputs.dataset.splits["validation"])
    said = [
        "The result holds for this network, this recipe and this split. Another network may need another method. The "
        f"choice of hyper-parameters and the temperatures depend on {size:,} validation rows; no interval counts that.",
        "ECE of a finite sample is above 0 even for a calibrated network, for all methods alike.",
    ]
    if plan.seeds < FEW_SEEDS:
        said.append(
            f"{plan.seeds} repetitions hardly show how much trainings differ by chance. Where they do, intervals "
            f"can be wider than the range of the measure, and decide nothing. Take {FEW_SEEDS} or more."
        )
    if inputs.noise is not None:
        said.append(
            f"In training and validation, {inputs.noise}. The test labels are those of the data. A temperature that is "
            "fitted on noisy labels makes predictions less confident than is right on clean ones."
        )
    elif inputs.dataset.votes is not None:
        said.append(
            "With few votes for a row, its shares are a rough estimate of those of all annotators. The differences "
            "between methods stay right on average, and the best possible scores seem better than they are."
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
