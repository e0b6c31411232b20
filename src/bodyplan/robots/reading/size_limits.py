"""Size limits: what a model asks MuJoCo to allocate, bounded before MuJoCo compiles it.

A few bytes of MJCF can ask for gigabytes: <replicate count="1000000">, a height field of 60,000
rows, a sensor with a billion values. The limits are far above those of any robot.
"""

from collections import Counter
from math import prod
from pathlib import Path

from bodyplan.errors import BodyplanError
from bodyplan.robots.reading.xml_elements import MAX_ELEMENTS, Element

MOST = {"geom": 2_000, "body": 1_000, "joint": 1_000, "link": 1_000, "collision": 2_000}
"""Elements of a kind, replicated ones included."""
LARGEST_OF_KEYS = {
    "count": 10_000,
    "cellcount": 10_000,
    "nrow": 2_000,
    "ncol": 2_000,
    "width": 8_192,
    "height": 8_192,
    "resolution": 8_192,
    "offwidth": 8_192,
    "offheight": 8_192,
    "shadowsize": 16_384,
    "gridsize": 100,
    "params": 100,
    "nsample": 1_000,
    "dim": 10_000,
    "num": 1_000,
    "actdim": 1_000,
    "maxhullvert": 10_000,
    "nuserdata": 100_000,
    "nkey": 1_000,
    "njmax": 100_000,
    "nconmax": 100_000,
    "nstack": 100_000_000,
    "iterations": 10_000,
    "ls_iterations": 10_000,
    "noslip_iterations": 10_000,
    "ccd_iterations": 10_000,
    "sdf_iterations": 10_000,
    "sdf_initpoints": 10_000,
    "numslices": 1_000,
    "numstacks": 1_000,
    "numquads": 1_000,
    "offsamples": 64,
}
"""Numbers in attributes that say how much there is of something."""
USER_ARRAY = 1_000
"""Numbers in a user array of each element, and in a custom <numeric>."""
LARGEST_PRODUCT = {
    ("count",): 10_000,
    ("cellcount",): 10_000,
    ("nrow", "ncol"): 1_000_000,
    ("width", "height"): 17_000_000,
    ("resolution",): 17_000_000,
}
"""Products of the numbers in these attributes."""
MAX_MEMORY = 1 << 30
"""Bytes in <size memory=...>."""


def require_limits(path: Path, root: Element) -> None:
    """Check that a model has no part in excess.

    Raises:
        BodyplanError: one limit is exceeded; the message names the place.
    """
    for element in root.walk():
        _require_numbers(element)
    counts: Counter[str] = Counter()
    _count(root, 1, counts)
    for tag, most in (*MOST.items(), ("", MAX_ELEMENTS)):
        found = counts[tag] if tag else counts.total()
        if found > most:
            words = f"<{tag}> elements" if tag else "elements"
            raise BodyplanError(
                f"{path}: there are {found:,} {words} with replicated ones, and the most is "
                f"{most:,}; simplify the model"
            )


def _count(element: Element, copies: int, counts: Counter[str]) -> None:
    """Add an element and what is below it to the counts, times its replications."""
    counts[element.tag] += copies
    if element.tag == "replicate":
        copies *= max(1, int(_numbers(element.attributes.get("count", ""))[0]))
    for child in element.children:
        _count(child, copies, counts)


def _require_numbers(element: Element) -> None:
    for key, value in element.attributes.items():
        most = LARGEST_OF_KEYS.get(key)
        if key.startswith("nuser_") or (element.tag, key) == ("numeric", "size"):
            most = USER_ARRAY
        if element.tag == "size" and key == "memory":
            most, value = MAX_MEMORY, str(_bytes(value))
        if most is not None and max(_numbers(value)) > most:
            _refuse(element, f'{key}="{value[:40]}"', most)
    for keys, most in LARGEST_PRODUCT.items():
        values = " ".join(element.attributes.get(key, "") for key in keys)
        if abs(prod(_numbers(values))) > most:
            _refuse(element, f"{abs(prod(_numbers(values))):,.0f} {' times '.join(keys)}", most)


def _refuse(element: Element, what: str, most: int) -> None:
    raise BodyplanError(
        f"{element.place}: <{element.tag}> has {what}, and the most is {most:,}; reduce it"
    )


def _numbers(value: str) -> list[float]:
    """The numbers in an attribute; a single 0 where there is none."""
    found = []
    for word in value.split():
        try:
            found.append(float(word))
        except ValueError:
            continue
    return found or [0.0]


def _bytes(value: str) -> int:
    """The bytes of a size such as 15M."""
    units = "KMGTPE"
    unit = value.strip()[-1:].upper()
    factor = 1024 ** (units.index(unit) + 1) if unit and unit in units else 1
    return int(_numbers(value.strip().rstrip(units + units.lower()))[0]) * factor
