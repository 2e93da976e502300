"""The specification of the recommended method, as TOML that `softtargets train` takes."""

from softtargets._spec import write_toml
from softtargets.compare.inputs import CompareInputs
from softtargets.compare.methods import MethodCandidate
from softtargets.compare.training import MEMBER_STRIDE


def specification_of(inputs: CompareInputs, candidate: MethodCandidate, *, temperature: bool) -> str:
    """Return the specification of the first repetition of a method.

    Args:
        inputs: the data set and the shared specification.
        candidate: the method with its setting.
        temperature: whether a temperature is recommended, which a comment says.
    """
    said = [f"Recommended by softtargets compare: {candidate.label}."]
    said += ["It is the specification of the first repetition; train it with: softtargets train FILE"]
    if candidate.members > 1:
        first = inputs.seed
        seeds = ", ".join(f"{first + place * MEMBER_STRIDE:,}" for place in range(candidate.members))
        said += [f"Train it {candidate.members} times, with the seeds {seeds}, and average the probabilities."]
    if temperature:
        said += ["Then fit a temperature on the validation split, such as calibration.TemperatureScaling()."]
    comments = "".join(f"# {sentence}\n" for sentence in said)
    return comments + write_toml(inputs.tables(candidate.objective, 0))
