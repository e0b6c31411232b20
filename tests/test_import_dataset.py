"""One function for every import: what the source is decides which importer reads it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from synthetic import write_dataset

import bodyplan
from bodyplan import BodyplanError, import_dataset
from bodyplan.datasets.io.minari_export import export_minari

LOGS = Path(__file__).parents[1] / "examples" / "my_logs"
IDS = ["bodyplan/crab/expert-forward-v0", "bodyplan/dog/expert-forward-v0"]


@pytest.fixture(scope="module")
def minari(tmp_path_factory):
    """Minari's folder with two robots of one dataset, and one robot twice more."""
    folder = tmp_path_factory.mktemp("minari")
    dataset = write_dataset(folder / "data", {"dog": (4, 2), "crab": (6, 4)}, steps=40)
    export_minari(dataset, folder / "root")
    export_minari(dataset, folder / "root", ["dog"], version=1)
    export_minari(dataset, folder / "root", ["dog"], version=10)
    return folder / "root"


@pytest.mark.parametrize(
    ("source", "robots"),
    [
        (IDS, ("crab", "dog")),
        (IDS[1], ("dog",)),
        (IDS[1].replace("v0", "v1"), ("dog",)),  # not also v10
        ("bodyplan/c", ("crab",)),
        ("bodyplan/*/expert-forward-v0", ("crab", "dog")),
    ],
)
def test_ids_prefixes_and_patterns_are_of_minari(minari, tmp_path, source, robots):
    assert import_dataset(source, str(tmp_path / "out"), minari).robots == robots


def test_a_toml_is_a_mapping_file(tmp_path):
    """The logs stand still in the observation's own layout, so that nothing has to be known."""
    rows, joints, feet = 8, 12, 4
    observations = np.zeros((rows, 3 * joints + 2 * feet + 13), np.float32)
    observations[:, -2] = -1.0  # gravity
    np.savez(tmp_path / "log.npz", o=observations, a=np.zeros((rows, joints)), r=np.zeros(rows))
    (tmp_path / "mapping.toml").write_text(
        '[[robots]]\nrobot = "unitree_go1"\nfiles = "log.npz"\nobservations = "o"\n'
        'actions = "a"\nrewards = "r"\nterminated = false\n'
    )
    dataset = import_dataset(str(tmp_path / "mapping.toml"), tmp_path / "out")
    assert dataset.card["source"] == "arrays"
    assert dataset["unitree_go1"].num_steps == rows - 1
    with pytest.raises(BodyplanError, match=r"gone.toml"):
        import_dataset(tmp_path / "gone.toml", tmp_path / "other")


def test_a_folder_or_another_file_is_the_papers_release(tmp_path):
    (tmp_path / "release").mkdir()
    np.save(tmp_path / "release" / "rewards.npy", np.zeros((3, 16)))
    with pytest.raises(BodyplanError, match="release.*'observations'"):
        import_dataset(tmp_path / "release", tmp_path / "out")
    shutil.copy(LOGS / "mapping.toml", tmp_path / "release.txt")
    with pytest.raises(BodyplanError, match=r"release.txt.*kind"):
        import_dataset(tmp_path / "release.txt", tmp_path / "out")


def test_a_dataset_needs_no_import(tmp_path):
    dataset = write_dataset(tmp_path / "data", {"dog": (4, 2)}, steps=40)
    with pytest.raises(BodyplanError, match=r"Dataset\.open"):
        bodyplan.import_dataset(dataset.path, tmp_path / "out")


def test_what_is_nowhere_names_what_can_be_given(minari, tmp_path):
    with pytest.raises(BodyplanError, match="'nowhere'.*toml.*release.*Minari"):
        import_dataset("nowhere", tmp_path / "out", minari)
    assert not (tmp_path / "out").exists()
