"""The assumptions of an evaluation, and how its intervals are computed."""

from softtargets.evaluate.catalog import FEWER, GROUPS
from softtargets.evaluate.suite import LEVEL

_ASSUMED = (
    "Labels are assumed to be correct. Wrong labels make every model look less accurate and less calibrated than it "
    "is. “softtargets audit” estimates how many are wrong.",
    "The rows are assumed to be held out. On rows that a model was trained on, all metrics are too optimistic.",
)
_ROWS = "Each row is one example with one label. Arrays of three axes, (N, L, K), are read as sequences of tokens."
_TOKENS = (
    "The rows are the tokens of sequences. All metrics are computed over the tokens of all sequences together, so a "
    "sequence counts in proportion to its number of tokens."
)


def assumptions(*, tokens: bool, votes: bool = False) -> tuple[str, ...]:
    """Return the assumptions of an evaluation in sentences."""
    if votes:
        return _ASSUMED[1:]
    return (*_ASSUMED, _TOKENS if tokens else _ROWS)


def describe_intervals(draws: int, *, several: bool, tokens: bool = False) -> tuple[str, ...]:
    """Return sentences that explain how the intervals are computed."""
    unit = "sequence" if tokens else "row"
    dependent = " All tokens of a sequence are drawn together, since they depend on each other." if tokens else ""
    shares = "Reliability bins, recalls, and accuracies of 0 % or 100 % have Wilson intervals."
    if tokens:
        shares = "Reliability bins and recalls have no intervals: those of independent rows are too narrow for tokens."
    differences = (
        "Differences are paired: both models are evaluated on the same draws. Their p-values are Holm-adjusted over "
        f"all differences shown. A difference is called significant if its adjusted p-value is below {LEVEL:g}."
    )
    return (
        f"Intervals describe the uncertainty from sampling the {unit}s. They do not include the variation between "
        f"training runs. They are bootstrapped with {draws:,} draws: {unit}s are assigned to {GROUPS:,} random groups "
        f"({FEWER} for metrics with a large state), and groups are drawn with replacement; with few {unit}s each "
        f"group is a single {unit}.{dependent}",
        "Calibration errors are means of absolute values, so sampling noise alone makes them positive. This bias is "
        "larger if bins have fewer rows. Their intervals are basic bootstrap intervals (Davison and Hinkley 1997), "
        "which correct it if the error is well above its sampling noise. Near 0 they are not reliable: for a "
        "calibrated model the interval of ECE contains 0 only about half of the time, and that of smooth ECE almost "
        "never. All other intervals are percentile intervals.",
        shares,
        *((differences,) if several else ()),
    )
