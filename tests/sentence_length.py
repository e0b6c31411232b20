"""Sentences of Markdown and their lengths in words: `python tests/sentence_length.py FILE...`."""

import re
import sys
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
INLINE_CODE = re.compile(r"`[^`]+`")
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
# A line of these kinds ends the paragraph before it.
ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.|\?\?\?|!!!|===)\s+")
SKIPPED = re.compile(r"^\s*(?:\||#|!\[|:::|--8<--|<)|^ {8,}")
END = re.compile(r"(?<=[.!?])[\"*_)]*\s+")
NO_END = re.compile(r"\b(et al|vs|Fig|Eq|e\.g|i\.e|No|cf)\.(?=\s)")


class Sentence(NamedTuple):
    """A sentence as it is counted, and how many words it has."""

    text: str
    words: int


def sentences(markdown: str) -> list[Sentence]:
    """The sentences of a page's paragraphs and list items; code, tables and headings are no prose.

    A piece of inline code is one word, a link is its text.
    """
    prose = FENCE.sub("\n", COMMENT.sub("", FRONT_MATTER.sub("", markdown)))
    found = []
    for paragraph in _paragraphs(prose):
        text = LINK.sub(r"\1", INLINE_CODE.sub("CODE", paragraph))
        text = NO_END.sub(r"\1", text)
        for sentence in END.split(text):
            words = [word for word in sentence.split() if re.search(r"\w", word)]
            if len(words) > 1:  # a label alone is no sentence
                found.append(Sentence(sentence.strip(), len(words)))
    return found


def _paragraphs(prose: str) -> list[str]:
    blocks: list[list[str]] = [[]]
    for line in prose.splitlines():
        if not line.strip() or SKIPPED.match(line):
            blocks.append([])
            continue
        if ITEM.match(line):
            blocks.append([])
            line = ITEM.sub("", line)
        blocks[-1].append(line.strip().lstrip("> "))
    return [" ".join(block) for block in blocks if block]


def mean_words(found: list[Sentence]) -> float:
    """The mean length of sentences in words."""
    return sum(sentence.words for sentence in found) / max(len(found), 1)


def report(path: Path, longest: int) -> str:
    """One line about a page, and one for each sentence with more words than `longest`."""
    found = sentences(path.read_text())
    words = max((sentence.words for sentence in found), default=0)
    lines = [f"{path}: {len(found)} sentences, mean {mean_words(found):.1f}, longest {words}"]
    lines += [f"  {own.words}: {own.text}" for own in found if own.words > longest]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.writelines(report(Path(name), longest=25) for name in sys.argv[1:])
