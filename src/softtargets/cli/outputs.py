"""The outputs of a study as text. A module of its own, so that `list` imports no drawing code."""

from softtargets.studies.schema import Study


def show_outputs(study: Study) -> list[str]:
    """Return a line for each output. An output of a setting is marked with the setting's name."""
    width = max(map(len, study.outputs))
    asked = {
        name: f" (setting '{o.setting}', not run by default)" if o.setting else "" for name, o in study.outputs.items()
    }
    return [f"  {name:<{width}}  {output.title}{asked[name]}" for name, output in study.outputs.items()]
