"""Figure checks: every number of a model is finite, of sensible size and of its sign."""

from math import isfinite

from bodyplan.errors import BodyplanError
from bodyplan.robots.reading.xml_elements import Element

MAX_FIGURE = 1e10
"""MuJoCo's own bound on figures (mjMAXVAL)."""
NOT_NEGATIVE = {
    "mass",
    "density",
    "diaginertia",
    "damping",
    "armature",
    "frictionloss",
    "friction",
    "timestep",
    "kp",
}
"""Attributes of an MJCF."""
NOT_NEGATIVE_OF = {
    "mass": {"value"},
    "limit": {"effort", "velocity"},
    "dynamics": {"damping", "friction"},
    "sphere": {"radius"},
    "cylinder": {"radius", "length"},
    "box": {"size"},
}
"""Attributes of a URDF, by their element."""
SOLREF = {"solref", "solreflimit", "solreffriction", "o_solref"}
"""Attributes of an MJCF. MuJoCo ignores pairs of unlike sign, and warns of it at every step."""
TEXT = {"name", "class", "childclass", "file", "filename", "model", "joint", "body", "link", "data"}
"""Attributes that are text, even where it reads like a number."""


def require_figures(root: Element) -> None:
    """Check the numbers of a model.

    Raises:
        BodyplanError: a number is not finite, too large, or has the wrong sign.
    """
    for element in root.walk():
        for key, value in element.attributes.items():
            if key not in TEXT:
                _require(element, key, value)


def _require(element: Element, key: str, value: str) -> None:
    try:
        figures = [float(word) for word in value.split()]
    except ValueError:
        return  # text, or a fault that MuJoCo names
    problem = ""
    if not all(isfinite(own) and abs(own) <= MAX_FIGURE for own in figures):
        problem = "give finite numbers of sensible size"
    elif (
        key in NOT_NEGATIVE | NOT_NEGATIVE_OF.get(element.tag, set())
        and min(figures, default=0) < 0
    ):
        problem = "that must not be negative"
    elif key in SOLREF and len(figures) == 2 and (figures[0] > 0) != (figures[1] > 0):
        problem = "give two positive numbers, or two negative ones (stiffness and damping)"
    if problem:
        short = value if len(value) <= 40 else f"{value[:37]}..."
        raise BodyplanError(f'{element.place}: <{element.tag}> has {key}="{short}"; {problem}')
