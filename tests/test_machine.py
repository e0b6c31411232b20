"""The machine: where the cache is, and how many cores there are."""

import os
from pathlib import Path

from bodyplan.machine import available_cores, cache_folder, processor


def test_the_cache_is_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("distances") == tmp_path / "bodyplan" / "distances"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = cache_folder("distances")
    assert folder.is_relative_to(tmp_path / "home")
    assert folder.parts[-2:] == ("bodyplan", "distances")
    assert not Path(folder).exists()  # whoever writes there makes it


def test_a_user_without_a_home_has_a_temporary_cache(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for an unknown user
    assert cache_folder("distances").is_absolute()


def test_a_process_has_at_least_one_core_and_no_more_than_the_machine():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_the_processor_is_named_with_its_cores():
    name, _, cores = processor().rpartition(", ")
    assert name
    assert int(cores.split()[0]) == available_cores()
