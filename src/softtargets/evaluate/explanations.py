"""What a reader must know: the assumptions of an evaluation, and how its intervals are computed."""

from softtargets.evaluate.suite import FEWER, GROUPS, LEVEL

NOTES = (
    "Labels are assumed to be correct: where some are wrong, every model looks less accurate and less calibrated than "
    "it is. “softtargets audit” estimates how many are wrong.",
    "Rows are assumed to be new to the models: on rows that a model was trained on, all metrics are too good.",
    "Each row is one example with one label. For sequences, write one row for each token that counts.",
)


def describe_intervals(draws: int, *, several: bool) -> tuple[str, ...]:
    """Say how intervals are computed."""
    differences = (
        "Differences are paired: both models are evaluated on the same draws. Their p-values are Holm-adjusted over "
        f"all differences shown, and a difference is called real if the adjusted p-value is below {LEVEL:g}."
    )
    return (
        "Intervals cover the sampling of the rows, not what another training run would change. They are bootstrapped "
        f"with {draws:,} draws: rows are assigned to {GROUPS:,} random groups ({FEWER} for metrics with a large "
        "state), and groups are drawn with replacement; with few rows each group is a single row.",
        "Calibration errors are means of absolute values: noise alone raises them above 0, the more the fewer rows a "
        "bin has. Their intervals are basic ones (Davison and Hinkley 1997), which subtract this bias where an error "
        "is well above its noise. Near 0 they are not reliable: for a calibrated model that of ECE contains 0 only "
        "about half of the time, and that of smooth ECE hardly ever. All others are percentile intervals.",
        "Bins, recalls and accuracies of 0 % or 100 % have Wilson intervals.",
        *((differences,) if several else ()),
    )
