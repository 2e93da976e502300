"""The outputs of a study as text; apart from the rest, so that a list needs no room that draws."""

from softtargets.studies.schema import Study


def show_outputs(study: Study) -> list[str]:
    """Return a line for each output, and say of those with a setting of their own how to ask for them."""
    width = max(map(len, study.outputs))
    asked = {name: f" (run by name, or as '{o.setting}')" if o.setting else "" for name, o in study.outputs.items()}
    return [f"  {name:<{width}}  {output.title}{asked[name]}" for name, output in study.outputs.items()]
