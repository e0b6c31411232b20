"""The streams of a command: any encoding, and readers that have gone."""

import os
import subprocess
import sys

import pytest

ASKS = [sys.executable, "-m", "bodyplan"]
TOLD = r"""
import sys
from bodyplan.cli.streams import lasting_streams
lasting_streams()
sys.stdout.write("45 ± 1, \u0101 \udce4\n")
sys.stderr.write("a line\n" * 3)
sys.exit(7)
"""


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("ascii", b"45 +- 1, ? \xe4\n"),
        ("latin-1", b"45 \xb1 1, ? \xe4\n"),
        ("utf-8", b"45 \xc2\xb1 1, \xc4\x81 \xe4\n"),
    ],
)
def test_what_an_encoding_lacks_is_written_otherwise(encoding, text):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    told = subprocess.run([sys.executable, "-c", TOLD], capture_output=True, env=environment)
    assert (told.returncode, told.stdout, told.stderr) == (7, text, b"a line\n" * 3)


def test_standard_error_goes_on_without_its_reader():
    reader, writer = os.pipe()
    os.close(reader)
    told = subprocess.run([sys.executable, "-c", TOLD], stdout=subprocess.PIPE, stderr=writer)
    os.close(writer)
    assert told.returncode == 7


def test_closed_streams_swallow_all():
    shell = f"exec {sys.executable} -m bodyplan robots show badger >&- 2>&-"
    assert subprocess.run(["sh", "-c", shell]).returncode == 0


@pytest.mark.parametrize("columns", [1, 30])
def test_help_fits_any_terminal(columns, capsys, monkeypatch):
    from bodyplan.cli import main

    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "--iql.beta" in capsys.readouterr().out
