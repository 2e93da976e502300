"""The assumptions of an evaluation, and how its intervals are computed."""

from softtargets.evaluate.catalog import FEWER, GROUPS
from softtargets.evaluate.suite import LEVEL

NOTES = (
    "Labels are assumed to be correct. Wrong labels make every model look less accurate and less calibrated than it "
    "is. “softtargets audit” estimates how many are wrong.",
    "The rows are assumed to be held out. On rows that a model was trained on, all metrics are too optimistic.",
    "Each row is one example with one label. For sequences, write one row for each token to be evaluated.",
)


def describe_intervals(draws: int, *, several: bool) -> tuple[str, ...]:
    """Return sentences that explain how the intervals are computed."""
    differences = (
        "Differences are paired: both models are evaluated on the same draws. Their p-values are Holm-adjusted over "
        f"all differences shown. A difference is called significant if its adjusted p-value is below {LEVEL:g}."
    )
    return (
        "Intervals describe the uncertainty from sampling the rows. They do not include the variation between training "
        f"runs. They are bootstrapped with {draws:,} draws: rows are assigned to {GROUPS:,} random groups "
        f"({FEWER} for metrics with a large state), and groups are drawn with replacement; with few rows each "
        "group is a single row.",
        "Calibration errors are means of absolute values, so sampling noise alone makes them positive. This bias is "
        "larger if bins have fewer rows. Their intervals are basic bootstrap intervals (Davison and Hinkley 1997), "
        "which correct it if the error is well above its sampling noise. Near 0 they are not reliable: for a "
        "calibrated model the interval of ECE contains 0 only about half of the time, and that of smooth ECE almost "
        "never. All other intervals are percentile intervals.",
        "Reliability bins, recalls, and accuracies of 0 % or 100 % have Wilson intervals.",
        *((differences,) if several else ()),
    )
