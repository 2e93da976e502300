"""What `softtargets list` says; free of torch, so that it answers at once."""

from softtargets.studies.catalog import read_study, shipped
from softtargets.studies.schema import Study


def list_studies() -> list[Study]:
    """Return every study that comes with the package."""
    return [read_study(folder) for folder in shipped().values()]
