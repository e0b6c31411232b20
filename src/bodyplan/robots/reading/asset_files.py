"""Asset files: the meshes, height fields and textures of a model, found and checked.

Each gets the real path of a file in the robot's folder, so that MuJoCo opens nothing else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bodyplan.errors import BodyplanError
from bodyplan.robots.notes import Note, changed
from bodyplan.robots.reading.asset_formats import FORMATS, UnreadableAssetError, converted_asset
from bodyplan.robots.reading.robot_folder import PACKAGE_DEPTH, RobotFolder
from bodyplan.robots.reading.xml_elements import Element
from bodyplan.robots.validation.problem import Problem, as_problem, name_list

MAX_ASSET_BYTES = 64_000_000
"""Of a file; a mesh of 200,000 triangles as text has about 15 MB."""
FOLDER_SETTINGS = ("meshdir", "texturedir", "assetdir", "strippath")
KIND_WORDS = {"hfield": "height field", "flexcomp": "mesh"}
"""Kinds of assets in messages, where their tag is no word."""


@dataclass(frozen=True)
class Reference:
    """A place in a model that names a file."""

    element: Element
    key: str
    """Of the attribute."""
    places: Sequence[Path]
    """Where the file may be, the likeliest first."""

    @property
    def name(self) -> str:
        """The file, as the model names it."""
        return self.element.attributes[self.key]

    def find(self, folder: RobotFolder) -> Path | None:
        """The first place where there is a file, those that may be read before others."""
        there = [place for place in self.places if _exists(place)]
        return next((place for place in there if folder.contains(place)), next(iter(there), None))


@dataclass
class Assets:
    """The files of a model."""

    contents: dict[str, bytes] = field(default_factory=dict)
    """Converted files, by the path that the model has for them."""
    notes: list[Note] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def find_assets(model: Path, references: Sequence[Reference], folder: RobotFolder) -> Assets:
    """Find the files that a model names, and write their real paths into its elements.

    Args:
        model: path of the model.
        references: to its files; their elements are changed.
        folder: where the files may be.

    Returns:
        What was found, with all problems.
    """
    search = _Search(model, folder)
    for reference in references:
        search.find(reference)
    return search.result()


@dataclass
class _Search:
    """Finds the files of a model one by one, and tells at the end what became of all."""

    model: Path
    folder: RobotFolder
    assets: Assets = field(default_factory=Assets)
    missing: list[Reference] = field(default_factory=list)
    unreadable: list[Reference] = field(default_factory=list)
    converted: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)

    def find(self, own: Reference) -> None:
        """Write the real path of a file into the model, or collect why there is none."""
        path, kind = own.find(self.folder), own.element.tag
        if path is None:
            self.missing.append(own)
        elif path.suffix.lower() not in FORMATS[kind]:
            self.unreadable.append(own)
        else:
            try:
                real = self.folder.require(path, MAX_ASSET_BYTES, own.element.file)
                self._take(own, path, real, converted_asset(kind, real))
            except UnreadableAssetError:
                self.unreadable.append(own)
            except BodyplanError as error:
                self.assets.problems.append(as_problem(self.model, error))

    def _take(self, own: Reference, path: Path, real: Path, content: bytes) -> None:
        if content:
            self.converted.append(own.name)
            real = real.with_suffix(".stl")
            self.assets.contents[str(real)] = content
        if path != own.places[0]:
            self.moved.append(f"{own.name} from {path}")
        own.element.attributes[own.key] = str(real)

    def result(self) -> Assets:
        """The files, with a problem for each kind of fault and a note on each kind of change."""
        assets = self.assets
        assets.problems += [*_missing(self.model, self.missing)]
        assets.problems += [*_unreadable(self.model, self.unreadable)]
        for words, names in (
            ("meshes are converted to binary STL", self.converted),
            ("files read elsewhere", self.moved),
        ):
            if names:
                assets.notes.append(changed(f"{words}: {name_list(dict.fromkeys(names))}"))
        return assets


def mjcf_references(root: Element, folder: RobotFolder) -> list[Reference]:
    """The files that an MJCF names, as MuJoCo looks for them; folder settings are removed."""
    settings: dict[str, str] = {}
    for compiler in (own for own in root.children if own.tag == "compiler"):
        given = {key: compiler.attributes.pop(key, None) for key in FOLDER_SETTINGS}
        settings |= {key: value for key, value in given.items() if value is not None}
    assetdir = settings.get("assetdir", "")
    meshdir, texturedir = (settings.get(key, assetdir) for key in ("meshdir", "texturedir"))
    references = []
    for element in root.all(*FORMATS):
        below = texturedir if element.tag == "texture" else meshdir
        for key in [own for own in element.attributes if own.startswith("file")]:
            name = Path(element.attributes[key])
            if settings.get("strippath") == "true":
                name = Path(name.name)
            if element.tag in ("mesh", "hfield", "texture"):  # nameless ones are named after files
                element.attributes.setdefault("name", name.stem)
            references.append(Reference(element, key, [folder.home / below / name]))
    return references


def urdf_references(
    elements: Sequence[Element], meshdir: str, folder: RobotFolder
) -> list[Reference]:
    """The meshes that parts of a URDF name, with every place where they are usually meant to be.

    Args:
        elements: parts of the URDF.
        meshdir: of MuJoCo's extension in the URDF; empty where it has none.
        folder: the robot's.
    """
    meshes = [mesh for element in elements for mesh in element.all("mesh")]
    return [
        Reference(mesh, "filename", list(_urdf_places(mesh, meshdir, folder)))
        for mesh in meshes
        if "filename" in mesh.attributes
    ]


def _urdf_places(mesh: Element, meshdir: str, folder: RobotFolder) -> Iterator[Path]:
    home, (scheme, _, rest) = folder.home, mesh.attributes["filename"].rpartition("://")
    path = Path(rest.replace("\\", "/"))
    if meshdir:  # MuJoCo strips the path of a URDF's mesh, and then looks in meshdir
        yield home / meshdir / path.name
    yield home / path
    for above in [*[home, *home.parents][: PACKAGE_DEPTH + 1], *folder.allowed]:
        if scheme in ("package", "model"):
            yield above / path
            yield above / Path(*path.parts[1:])
    for start in range(1, len(path.parts)):  # a path of another machine, or of another layout
        yield home / Path(*path.parts[start:])


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or has a NUL
        return False


def _missing(model: Path, references: Sequence[Reference]) -> Iterator[Problem]:
    for place, own in {own.places[0]: own for own in references}.items():
        word = KIND_WORDS.get(own.element.tag, own.element.tag)
        fix = "put it there, or correct file= or <compiler meshdir=...>"
        if own.key == "filename":
            fix = f'put it there, or correct filename="{own.name}"'
        yield Problem("error", str(model), f"the {word} {place} is missing", fix)


def _unreadable(model: Path, references: Sequence[Reference]) -> Iterator[Problem]:
    """One problem for each kind of asset, with all its files."""
    for kind in dict.fromkeys(own.element.tag for own in references):
        names = dict.fromkeys(own.name for own in references if own.element.tag == kind)
        listed = name_list(names, most=len(names))
        problem = f"{KIND_WORDS.get(kind, kind)} files that cannot be read: {listed}"
        fix = f"convert {'it' if len(names) == 1 else 'them'} to {FORMATS[kind][0]}"
        yield Problem("error", str(model), problem, f"{fix}, or use a box, sphere or cylinder")
