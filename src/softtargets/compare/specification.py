"""The specification of the recommended method, as TOML that `softtargets train` takes."""

from softtargets._spec import write_toml
from softtargets.compare.inputs import CompareInputs
from softtargets.compare.methods import MethodCandidate

_EXPORT = "softtargets export RUN FOLDER, which takes the run that train has printed."


def specification_of(inputs: CompareInputs, candidate: MethodCandidate, *, temperature: bool) -> str:
    """Return the specification of the first repetition of a method. Of an ensemble, the first network is that of it.

    Args:
        inputs: the data set and the shared specification.
        candidate: the method with its setting.
        temperature: whether a temperature is recommended.
    """
    said = [f"Recommended by softtargets compare: {candidate.label}."]
    said += ["It is the specification of the first repetition; train it with: softtargets train FILE"]
    tables = inputs.tables(candidate.objective, 0)
    if candidate.members > 1:
        calibrator = "temperature-scaling" if temperature else "none"
        tables["ensemble"] = {"name": "seeds", "size": candidate.members, "calibrator": calibrator}
        said += [
            "The first network is that of the first repetition; the others have other seeds than in the comparison."
        ]
    elif temperature:
        said += [f"A temperature is fitted on the validation split by: {_EXPORT}"]
    comments = "".join(f"# {sentence}\n" for sentence in said)
    return comments + write_toml(tables)
