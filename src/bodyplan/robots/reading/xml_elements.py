"""XML elements of a model file, read without entities and with bounded size and nesting.

MuJoCo never sees the file. It gets the text of these elements, so that nothing which was not
checked here can reach it. Comments and text between elements mean nothing in MJCF and URDF.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from bodyplan.errors import BodyplanError

MAX_MODEL_BYTES = 16_000_000
MAX_ELEMENTS = 20_000
MAX_NESTING = 100
ENCODINGS = ("utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252", "utf-16")
"""Python's names of the encodings that a file may declare."""
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,80}?encoding=["']([A-Za-z0-9_.-]{1,30})["']""")


@dataclass(eq=False)
class Element:
    """An XML element."""

    tag: str
    attributes: dict[str, str]
    children: "list[Element]" = field(default_factory=list)
    file: Path = Path()
    line: int = 0
    """In the file, from one."""
    text: str = ""
    """Where it was kept."""

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.file}, line {self.line}"

    def number(self, key: str) -> float:
        """The number in an attribute; 0 where there is none."""
        try:
            return float(self.attributes.get(key, 0.0))
        except ValueError:
            return 0.0

    def walk(self) -> "Iterator[Element]":
        """The element and all below it, in the file's order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def all(self, *tags: str) -> "list[Element]":
        """The elements with one of these tags, itself included."""
        return [own for own in self.walk() if own.tag in tags]

    def first(self, tag: str) -> "Element | None":
        """The first child with this tag."""
        return next((child for child in self.children if child.tag == tag), None)


def read_elements(path: Path, content: bytes, keep_text: bool = False) -> Element:
    """The root element of a file.

    Args:
        path: of the file, for messages.
        content: its bytes.
        keep_text: whether to keep text between tags.

    Raises:
        BodyplanError: the text is in no known encoding or not well-formed, declares entities, or
            has too many or too deeply nested elements.
    """
    text = _without_comments(_decode(path, content)).lstrip("\ufeff \t\r\n").rstrip("\0")
    builder = _Builder(path, content.count(b"\n") - text.count("\n"), keep_text)
    try:
        return builder.build(text)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        line = error.lineno + builder.lines_above
        raise BodyplanError(
            f"{path}, line {line}: this is not well-formed XML ({reason}); correct that place"
        ) from error


def to_text(root: Element) -> str:
    """The text of an element, each part on its line in the file where that is possible."""
    lines: list[str] = [""]
    _write(root, lines)
    return "\n".join(lines)


def _decode(path: Path, content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = "utf-16"
    else:
        declared = _DECLARED.match(content)
        name = declared[1].decode() if declared else "utf-8"
    try:
        known = codecs.lookup(name).name
    except LookupError:
        known = ""
    if known not in ENCODINGS:
        raise BodyplanError(f"{path} declares the encoding {name}; save the file as UTF-8")
    try:
        return content.decode(known)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BodyplanError(
            f"{path}, line {line}: this is not {name.upper()} text; save the file as UTF-8"
        ) from error


def _without_comments(text: str) -> str:
    """The text with the newlines of its comments only; MuJoCo allows `--` in them, expat not."""
    kept, place = [], 0
    while (start := text.find("<!--", place)) >= 0 and (end := text.find("-->", start)) >= 0:
        kept += [text[place:start], "\n" * text.count("\n", start, end)]
        place = end + 3
    return "".join([*kept, text[place:]])


class _Builder:
    """Makes elements of what expat finds."""

    def __init__(self, path: Path, lines_above: int, keep_text: bool) -> None:
        self.path, self.lines_above = path, lines_above
        self.stack = [Element("", {})]
        self.count = 0
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.buffer_text = True
        self.parser.CharacterDataHandler = self._text if keep_text else None
        self.parser.StartDoctypeDeclHandler = self._refuse_entities

    def build(self, text: str) -> Element:
        # The declared encoding is that of the bytes, and this is text.
        self.parser.Parse(re.sub(r"^<\?xml.*?\?>", "", text, count=1, flags=re.DOTALL), True)
        return self.stack[0].children[0]

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber + self.lines_above
        element = Element(tag, attributes, [], self.path, line)
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise BodyplanError(
                f"{self.path}: more than {MAX_ELEMENTS:,} elements are too many; simplify the model"
            )
        if len(self.stack) > MAX_NESTING:
            raise BodyplanError(
                f"{element.place}: it is nested deeper than {MAX_NESTING}; simplify the model"
            )
        self.stack[-1].children.append(element)
        self.stack.append(element)

    def _text(self, text: str) -> None:
        if not self.stack[-1].children:
            self.stack[-1].text += text

    def _end(self, tag: str) -> None:
        self.stack.pop()

    def _refuse_entities(self, *declaration: object) -> None:
        raise BodyplanError(
            f"{self.path}: a DOCTYPE may define entities; remove it, for no model needs one"
        )


def _write(element: Element, lines: list[str]) -> None:
    lines += [""] * (element.line - len(lines))
    attributes = "".join(f" {key}={quoteattr(value)}" for key, value in element.attributes.items())
    lines[-1] += f"<{element.tag}{attributes}{'' if element.children else '/'}>"
    for child in element.children:
        _write(child, lines)
    if element.children:
        lines[-1] += f"</{element.tag}>"
