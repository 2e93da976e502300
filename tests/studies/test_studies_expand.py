"""A study's grid as runs: what is taken off a run is taken off its teachers too."""

from softtargets.runs.spec import RunSpec
from softtargets.studies.expand import PlannedRun, without_augmentation
from softtargets.studies.results import CellKey

TEACHER = {"model": {"name": "mlp"}, "training": {"epochs": 2}, "augmentation": {"shift": 2}}


def test_a_table_goes_without_augmentation_and_so_do_all_who_teach() -> None:
    """Else a teacher would be another run than the one that is planned for it, and refused for its augmentation."""
    taught = {**TEACHER, "objective": {"name": "distillation"}, "teachers": [TEACHER]}
    heir = {**taught, "augmentation": {}, "teachers": [taught]}
    runs = [RunSpec.parse(run) for run in (TEACHER, taught, heir)]
    planned = [PlannedRun(CellKey("arm", 0.0, 0.0), 0, run) for run in runs]
    teacher, student, last = (item.run for item in without_augmentation(planned))
    assert student.teachers == (teacher,)
    assert last.teachers == (student,)
    assert not any(run.augmentation.active for run in (teacher, student, last))
