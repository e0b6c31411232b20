"""The robot's folder: the files that a model may name. Nothing outside is opened."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from bodyplan.errors import BodyplanError

PACKAGE_DEPTH = 4
"""Folders above a model in which the root of its ROS package is looked for."""
PACKAGE_MARK = "package.xml"
URDF_FOLDERS = ("urdf", "urdfs", "robots", "xacro", "mjcf", "xml")
"""Usual names of the folder with the URDFs in a package."""


@dataclass(frozen=True)
class RobotFolder:
    """The folders whose files a model may name: its own, and those that the user allows."""

    home: Path
    """Where the model is; its relative paths start here."""
    allowed: tuple[Path, ...]
    """Resolved, `home` among them."""

    @classmethod
    def around(cls, model: Path, allow_paths: Sequence[Path] = ()) -> "RobotFolder":
        """The folder of a model, or the ROS package that it is in.

        Args:
            model: path of the model.
            allow_paths: further folders.
        """
        home = model.parent.resolve()
        return cls(home, (home, *_package_of(home), *(path.resolve() for path in allow_paths)))

    def contains(self, path: Path) -> bool:
        """Whether a file may be opened, with all links and `..` followed."""
        real = path.resolve()
        return any(real.is_relative_to(folder) for folder in self.allowed)

    def require(self, path: Path, limit: int, user: Path) -> Path:
        """The real path of a file that may be opened.

        Args:
            path: of the file.
            limit: bytes that it may have.
            user: the file that names it, for the message.

        Raises:
            BodyplanError: it is outside, is missing, is no regular file, or is too large.
        """
        if not self.contains(path):
            raise BodyplanError(
                f"{user}: it names {path.resolve()}, outside of its folder; move that file into "
                f"the folder, or allow it with --allow-path {path.resolve().parent}"
            )
        return require_file(path, limit)


def require_file(path: Path, limit: int) -> Path:
    """The real path of a regular file of at most `limit` bytes.

    Raises:
        BodyplanError: it is missing, a device or a pipe, or too large.
    """
    real = path.resolve()
    try:
        status = real.stat()
    except (OSError, ValueError) as error:
        raise BodyplanError(f"{path} does not exist; correct the path") from error
    if not S_ISREG(status.st_mode):
        raise BodyplanError(f"{path} is no file; give the path of a regular file")
    if status.st_size > limit:
        size, most = status.st_size / 1e6, limit / 1e6
        raise BodyplanError(f"{path} has {size:,.0f} MB; the most is {most:,.0f} MB, so reduce it")
    return real


def _package_of(home: Path) -> Iterable[Path]:
    """The root of the ROS package around a folder, where there is one."""
    for folder in [home, *home.parents][: PACKAGE_DEPTH + 1]:
        if (folder / PACKAGE_MARK).is_file():
            return [folder]
    return [home.parent] if home.name in URDF_FOLDERS else []
