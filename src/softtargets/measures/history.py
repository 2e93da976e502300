"""Numbers through training: the columns of a run's history."""

from softtargets.measures.registry import Measure, history_traces

history_traces(
    Measure("objective", "training loss", "nats", "What was minimised, its mean over the batches of an epoch."),
    Measure(
        "validation_accuracy",
        "validation accuracy",
        "percent",
        "Accuracy on the validation split, against the observed labels.",
    ),
    Measure(
        "validation_nll",
        "validation NLL",
        "nats",
        "Mean negative log-likelihood of the observed labels of the validation split.",
    ),
)
