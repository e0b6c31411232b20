"""Included files: the elements of a model with every <include> replaced by what it names."""

from pathlib import Path

from bodyplan.errors import BodyplanError
from bodyplan.robots.reading.robot_folder import RobotFolder, require_file
from bodyplan.robots.reading.xml_elements import MAX_MODEL_BYTES, Element, read_elements

MAX_INCLUDES = 100


def read_model_elements(path: Path, folder: RobotFolder) -> Element:
    """The root element of a model, whole.

    Args:
        path: of the model; the user's own choice, so it may be anywhere.
        folder: where the files that it includes may be.

    Raises:
        BodyplanError: a file is outside the folder, missing, no XML, or included twice.
    """
    root = read_elements(path, require_file(path, MAX_MODEL_BYTES).read_bytes())
    _Includes(folder, {path.resolve()}).replace_in(root)
    return root


class _Includes:
    """Replaces includes, each file at most once, as MuJoCo wants it."""

    def __init__(self, folder: RobotFolder, seen: set[Path]) -> None:
        self.folder, self.seen = folder, seen

    def replace_in(self, element: Element) -> None:
        children: list[Element] = []
        for child in element.children:
            if child.tag == "include":
                children += self._read(child)
            else:
                self.replace_in(child)
                children.append(child)
        element.children = children

    def _read(self, include: Element) -> list[Element]:
        name = include.attributes.get("file", "")
        # MuJoCo looks from the main model's folder; from the including file's is what people mean.
        places = [self.folder.home / name, include.file.parent / name]
        path = next((place for place in places if place.exists()), places[0])
        real = self.folder.require(path, MAX_MODEL_BYTES, include.file)
        if real in self.seen:
            raise BodyplanError(f"{include.place}: {name} is included twice; include it once")
        if len(self.seen) > MAX_INCLUDES:
            raise BodyplanError(
                f"{include.file} has more than {MAX_INCLUDES} includes; write one file"
            )
        self.seen.add(real)
        root = read_elements(path, real.read_bytes())
        self.replace_in(root)
        return root.children
