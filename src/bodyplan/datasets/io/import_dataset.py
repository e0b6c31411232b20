"""Imports a dataset from outside: a user's own logs, the paper's release, or Minari."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.format import CARD
from bodyplan.errors import BodyplanError
from bodyplan.progress import OnProgress


def import_dataset(
    source: str | Path | Sequence[str],
    out: str | Path,
    minari_root: str | Path | None = None,
    progress: OnProgress | None = None,
) -> Dataset:
    """Imports a dataset; what `source` is decides how it is read.

    - The path of a `.toml` is the mapping file of a user's own logs (`import_arrays`).
    - The path of another file or of a folder is a set of the paper's release (`import_release`).
    - Any other text is a Minari id, the beginning of several ids, or a pattern such as
      `bodyplan/*/expert-forward-v0`. Several ids may also be a list (`import_minari`).

    Args:
        source: what to import.
        out: the folder of the new dataset.
        minari_root: Minari's folder of datasets; the one that Minari itself uses by default.
        progress: called as the import goes on.

    Raises:
        BodyplanError: the source does not exist, is damaged or does not fit; `out` is not empty;
            the disk is full.
    """
    # Imported here because h5py and Minari take long to import.
    if not isinstance(source, str | Path):
        from bodyplan.datasets.io.minari_import import import_minari

        return import_minari(source, out, minari_root, progress)
    path = Path(source)
    if path.suffix == ".toml":
        from bodyplan.datasets.io.array_import import import_arrays

        return import_arrays(path, out, progress)
    if path.exists():
        from bodyplan.datasets.io.paper_release import import_release

        if (path / CARD).is_file():
            raise BodyplanError(
                f"{path} is a dataset of bodyplan already; open it with Dataset.open."
            )
        return import_release(path, out, progress=progress)
    from bodyplan.datasets.io.minari_import import import_minari

    return import_minari(_minari_ids(str(source), minari_root), out, minari_root, progress)


def _minari_ids(pattern: str, root: str | Path | None) -> list[str]:
    """The ids in Minari's folder that are equal to the pattern, match it or begin with it."""
    from bodyplan.datasets.io.minari_metadata import installed_ids, minari_root

    home = minari_root(root)
    ids = installed_ids(home)
    if pattern in ids:
        return [pattern]
    found = [name for name in ids if name.startswith(pattern) or fnmatchcase(name, pattern)]
    if not found:
        raise BodyplanError(
            f"there is no file or folder '{pattern}', and no Minari dataset of that name in "
            f"{home}; give a mapping file (.toml), a folder of the paper's release, or Minari ids."
        )
    return found
