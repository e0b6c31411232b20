"""The notebook of the tour is executed from the first to the last cell, at small sizes."""

from pathlib import Path

import nbclient
import nbformat
import pytest

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parents[1] / "examples" / "tour.ipynb"
SMALL = {
    "TOUR_ROBOTS": "unitree_go1 hexapod",
    "TOUR_STEPS": "400",
    "TOUR_UPDATES": "4",
    "TOUR_BATCH_SIZE": "8",
    "TOUR_NETWORK": "tiny",
    "TOUR_EPISODES": "1",
    "TOUR_SECONDS": "0.4",
}
"""The environment variables of the notebook's first cell."""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook after its execution in an empty folder."""
    folder = tmp_path_factory.mktemp("tour")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setenv(name, value)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        resources = {"metadata": {"path": str(folder)}}
        nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    return notebook


def outputs(notebook, kind):
    """All outputs of one MIME type."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    data = (output.get("data", {}) for cell in cells for output in cell.outputs)
    return [own[kind] for own in data if kind in own]


def test_it_shows_tables_plots_and_a_film(executed):
    tables = outputs(executed, "text/html")
    assert sum("<table" in html for html in tables) >= 5
    assert len(outputs(executed, "image/png")) == 3
    assert len(outputs(executed, "image/webp")) == 1


def test_the_callback_of_training_is_called(executed):
    printed = [
        output.text
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stdout"
    ]
    assert "".join(printed).count("actor loss") == 4


def test_it_is_stored_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert outputs(notebook, "text/plain") == []
