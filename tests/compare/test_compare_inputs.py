"""The data set and the shared specification: what is refused before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
from compare.compare_examples import RECIPE, options, write_table
from PIL import Image

from softtargets._errors import InputError
from softtargets.compare.inputs import CompareInputs, gather
from softtargets.compare.request import CompareRequest


def gathered(data: Path | str, folder: Path, **settings: Any) -> CompareInputs:
    return gather(CompareRequest(str(data), None, options(folder, **settings)))


def test_recipes_depend_on_the_kind_of_data(tmp_path):
    table = gathered(write_table(tmp_path / "table.csv"), tmp_path, specification=None).content
    assert table["model"] == {"name": "mlp", "hidden": (128, 128)}
    assert table["optimizer"]["name"] == "adamw"
    digits = gathered("digits", tmp_path, specification=None).content
    assert digits["model"]["name"] == "convnet"
    # grey images are not mirrored
    assert digits["augmentation"] == {"flip": False}
    lines = [f"{'good' if row % 2 else 'bad'} words number {row},{row % 2}" for row in range(600)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *lines]))
    texts = gathered(tmp_path / "texts.csv", tmp_path, specification=None).content
    assert texts["model"] == {"name": "mlp", "hidden": ()}


def test_small_data_are_trained_for_more_epochs_and_the_schedule_fits_them(tmp_path):
    content = gathered(write_table(tmp_path / "table.csv"), tmp_path, specification=None).content
    # 384 rows in batches of 32 are 12 steps
    assert content["training"] == {"epochs": 50, "batch_size": 32}
    assert content["schedule"] == {"name": "linear", "warmup_steps": 60}
    short = gathered(tmp_path / "table.csv", tmp_path, specification=None, epochs=5).content
    assert (short["training"]["epochs"], short["schedule"]["warmup_steps"]) == (5, 6)


def test_tables_of_the_user_replace_those_of_the_recipe(tmp_path):
    (tmp_path / "own.toml").write_text(
        '[model]\nname = "mlp"\nhidden = [4]\n[optimizer]\nname = "sgd"\nlearning_rate = 0.2\n'
        "[training]\nepochs = 2\n[data]\nvalidation = 0.3\n"
    )
    found = gathered(write_table(tmp_path / "table.csv"), tmp_path, specification=tmp_path / "own.toml")
    assert found.content["model"] == {"name": "mlp", "hidden": [4]}
    assert found.content["optimizer"] == {"name": "sgd", "learning_rate": 0.2}
    assert found.content["data"]["validation"] == 0.3
    run = found.resolved({"name": "cross_entropy"}, 3).run
    assert run.model.hidden == (4,)  # pyright: ignore[reportAttributeAccessIssue]
    assert (run.seeds.order, run.seeds.method, run.seeds.noise) == (3, 3, 0)


def test_a_pretrained_network_is_fine_tuned(tmp_path):
    content = gathered(
        write_table(tmp_path / "table.csv"),
        tmp_path,
        specification={"model": {"name": "mlp"}, "training": {"batch_size": 16}},
    ).content
    assert content["training"] == {"batch_size": 16, "epochs": 25}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"specification": {"objective": {"name": "focal"}}}, r"specification\.objective: left out"),
        ({"specification": {"seeds": 3}}, r"specification\.seeds: left out: use --seed"),
        ({"specification": {"teachers": []}}, r"specification\.teachers"),
        ({"model": "mlp"}, "model: given once"),
        ({"model": "mpl", "specification": None}, "did you mean 'mlp'"),
        ({"epochs": 3}, "epochs: given once"),
        ({"specification": {**RECIPE, "optimiser": {}}}, "did you mean 'optimizer'"),
        ({"label": "kind"}, "kind"),
        ({"specification": "missing.toml"}, "missing.toml"),
    ],
)
def test_bad_settings_are_named(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        gathered(write_table(tmp_path / "table.csv"), tmp_path, **settings)


def test_data_that_are_too_small_say_the_least_size_and_what_can_be_answered(tmp_path):
    with pytest.raises(InputError) as error:
        gathered(write_table(tmp_path / "table.csv", rows=240), tmp_path)
    text = str(error.value)
    assert text.startswith(
        "data: at least 50 validation rows; got 38 of 240 labelled rows; add rows (about 316 in all)"
    )
    assert "with its 48 test rows only differences of accuracy above about 9 points could be shown" in text


def test_a_split_without_rows_is_named(tmp_path):
    recipe = {**RECIPE, "data": {"validation": 0.0}}
    with pytest.raises(InputError, match="at least 50 validation rows; got 0"):
        gathered(write_table(tmp_path / "table.csv"), tmp_path, specification=recipe)


def test_a_class_that_a_split_lacks_is_named(tmp_path):
    path = write_table(tmp_path / "table.csv")
    path.write_text(path.read_text() + "0.0,0.0,rare\n0.1,0.0,rare\n")
    with pytest.raises(InputError, match="none of class 'rare' in validation, of 2 in the data"):
        gathered(path, tmp_path)


def test_labels_that_are_all_missing_are_an_error(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["x,y,label", *(f"{row}.5,1.0," for row in range(600))]))
    with pytest.raises(InputError, match="label"):
        gathered(path, tmp_path)


def test_a_folder_of_images_is_compared_with_cutmix(tmp_path):
    for name, value in (("dark", 30), ("light", 220)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(160):
            Image.new("RGB", (8, 8), (value, number, 0)).save(tmp_path / "images" / name / f"{number}.png")
    recipe = {"data": {"test": 0.35, "validation": 0.3}, "training": {"epochs": 1}}
    found = gathered(tmp_path / "images", tmp_path, specification=recipe)
    assert found.dataset.is_image
    assert found.content["augmentation"] == {"flip": True}
    assert found.own_test is False
