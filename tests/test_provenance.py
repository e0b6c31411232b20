"""Provenance: what git says of a checkout, and that nothing else is asked or run."""

import json
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version

import pytest

import bodyplan
from bodyplan.provenance import commit_of, provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one file under `src`, and its commit."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = tmp_path / "checkout"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "learner.py").write_text("one\n")
    (folder / "notes.md").write_text("one\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    name = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    git(folder, *name, "commit", "--quiet", "-m", "first")
    return folder


def git(folder, *arguments):
    command = ("git", *arguments)
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_a_checkout_has_its_commit_until_its_source_differs(checkout):
    commit = git(checkout, "rev-parse", "HEAD").strip()
    (checkout / "notes.md").write_text("two\n")  # no source
    assert commit_of(checkout) == commit
    (checkout / "src" / "learner.py").write_text("two\n")
    assert commit_of(checkout) == f"{commit}-dirty"
    git(checkout, "checkout", "--quiet", "src")
    (checkout / "src" / "new.py").write_text("new\n")
    assert commit_of(checkout) == f"{commit}-dirty"


def test_a_repository_around_the_package_is_not_the_packages(checkout):
    assert commit_of(checkout / "src") is None
    assert commit_of(checkout.parent) is None


def test_neither_the_environment_nor_a_configuration_decides(checkout, tmp_path, monkeypatch):
    commit = git(checkout, "rev-parse", "HEAD").strip()
    monitor = tmp_path / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    monitor.chmod(0o755)
    git(checkout, "config", "core.fsmonitor", str(monitor))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert commit_of(checkout) == commit
    assert not (tmp_path / "ran").exists()


def test_without_git_and_without_a_commit_there_is_none(checkout, tmp_path, monkeypatch):
    empty = tmp_path / "empty"
    (empty / "src").mkdir(parents=True)
    git(empty, "init", "--quiet")
    assert commit_of(empty) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(checkout) is None


def test_versions_machine_and_date_are_those_of_this_process():
    before = datetime.now(UTC).replace(microsecond=0)
    told = json.loads(json.dumps(provenance("a fast one")))
    assert set(told) == {
        *("bodyplan", "commit", "jax", "mujoco", "python"),
        *("host", "processor", "accelerator", "date"),
    }
    assert told["bodyplan"] == bodyplan.__version__
    assert told["mujoco"] == version("mujoco")
    assert told["python"] == platform.python_version()
    assert told["accelerator"] == "a fast one"
    assert before <= datetime.fromisoformat(told["date"]) <= datetime.now(UTC)
