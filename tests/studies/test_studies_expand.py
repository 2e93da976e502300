"""A study's grid as runs: what a user changes is changed in every run, teachers included."""

import pytest

from softtargets.runs.spec import RunSpec
from softtargets.studies.catalog import find, read_study
from softtargets.studies.expand import PlannedRun, expand, without_augmentation
from softtargets.studies.records import CellKey
from softtargets.studies.request import DataChoice

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


def test_a_data_set_of_the_users_own_takes_the_place_of_all() -> None:
    """Of those, too, that a study lays over its runs by the name of a condition."""
    study = read_study(find("compatibility"))
    own = expand(study, "desk", ["students"], seeds=1, data=DataChoice("mine.csv", "label"))
    plain = expand(study, "desk", ["students"], seeds=1)
    assert len({item.run.data.name for item in plain}) == 2
    assert len(own) == len(plain)
    for item in own:
        for run in (item.run, *(item.run.teachers or ())):
            assert (run.data.name, run.data.label) == ("mine.csv", "label")
            assert run.data.limit == plain[0].run.data.limit


@pytest.mark.parametrize(("name", "output"), [("mueller2019", "figure5"), ("noise-benchmark", "cifar10-accuracy")])
def test_the_image_column_of_a_local_copy_may_have_any_name(name, output) -> None:
    """The hub's CIFAR-10 calls it `img`; copies often say `image`. The only image column is taken."""
    study = read_study(find(name)).seen_from(output)
    placed = expand(study, "paper", [output], seeds=1, places={"uoft-cs/cifar10": "copies/cifar10"})
    for item in placed:
        for run in (item.run, *(item.run.teachers or ())):
            assert (run.data.name, run.data.image) == ("copies/cifar10", None)
