"""Bounds of settings: they stand beside a field, and are checked wherever its value is given.

    @dataclass(frozen=True)
    class Settings:
        gamma: Share = 0.99
        scale: Literal["none", "shared"] = "none"

        def __post_init__(self) -> None:
            require_bounds(self)

The same annotations are read by the command line and by its help. A number is never NaN. One
without bounds says so: `AnyInteger`, `AnyNumber`.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt

from bodyplan.errors import BodyplanError


class Free:
    """Marks a number that may be any finite one."""


class Distinct:
    """Marks a list that names nothing twice."""


class Named:
    """Marks a path of something to write, which is not the root of all folders."""


MOST_COUNTED = 10**9
"""Steps, updates and other counts that can ever end."""

_UNTOLD = 4096
"""A limit from here on is told to those only who go beyond."""

AnyInteger = Annotated[int, Free()]
AnyNumber = Annotated[float, Free()]
CountFromOne = Annotated[int, Ge(1), Le(MOST_COUNTED)]
CountFromZero = Annotated[int, Ge(0), Le(MOST_COUNTED)]
Seed = Annotated[int, Ge(0), Le(2**32 - 1)]
AnySeed = Annotated[int, Ge(0)]
"""Of what seeds itself from any number."""
Threads = Annotated[int, Ge(1), Le(4096)]
AboveZero = Annotated[float, Gt(0.0)]
FromZero = Annotated[float, Ge(0.0)]
Share = Annotated[float, Ge(0.0), Le(1.0)]
"""From 0 to 1, both included."""
ProperShare = Annotated[float, Gt(0.0), Lt(1.0)]
LearningRate = Annotated[float, Gt(0.0), Le(1.0)]
DistinctNames = Annotated[tuple[str, ...], Distinct()]
NewPath = Annotated[Path, Named()]


class Fault(NamedTuple):
    """A value that is out of bounds."""

    path: tuple[str, ...]
    """The names of the fields that lead to it."""
    problem: str
    """Such as `is -1`."""
    allowed: str
    """What could be given, such as `a number above 0`."""

    def sentence(self, name: str) -> str:
        """What is wrong, and what would do."""
        return f"{name} {self.problem}; give {self.allowed}"


class OutOfBoundsError(BodyplanError):
    """An error about a value that is out of bounds."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.sentence(fault.path[-1]))
        self.fault = fault


def require_bounds(settings: Any) -> None:
    """Check the fields of a dataclass, but not those of dataclasses in them.

    Arrays pass, such as those that stand for numbers while a program is compiled.

    Raises:
        OutOfBoundsError: naming a field that is out of bounds, and what would do.
    """
    for fault in faults(settings, nested=False):
        raise OutOfBoundsError(fault)


def require_arguments(hints: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Check the arguments of a function.

    Args:
        hints: the function's `__annotations__`.
        values: arguments by name.

    Raises:
        OutOfBoundsError: as `require_bounds`.
    """
    for name, hint in hints.items():
        for fault in _value_faults(hint, values.get(name), (name,)):
            raise OutOfBoundsError(fault)


def faults(settings: Any, nested: bool = True, path: tuple[str, ...] = ()) -> Iterator[Fault]:
    """What is out of bounds in a dataclass, and in those in its fields."""
    for one in fields(settings):
        value, place = getattr(settings, one.name), (*path, one.name)
        if nested and is_dataclass(value):
            yield from faults(value, nested, place)
        elif not isinstance(one.type, str):
            yield from _value_faults(one.type, value, place)


def all_fields(kind: type, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The fields of a dataclass, and of those in its fields: names that lead there, and hints."""
    for one in fields(kind):
        place, own = (*path, one.name), kind_of(one.type)
        if is_dataclass(own) and isinstance(own, type):
            yield from all_fields(own, place)
        else:
            yield place, one.type


def allowed_text(hint: Any) -> str:
    """What a number's hint allows, in words; empty where that is not bounded."""
    for own in _alternatives(hint):
        bounds = _marks(own, (Ge, Gt, Le, Lt))
        if bounds:
            return _range_text(bounds)
    return ""


def is_bounded(hint: Any) -> bool:
    """Whether every number of a hint has bounds, or is said to have none."""
    return all(
        own not in (int, float) and all(map(is_bounded, _parts(own))) for own in _alternatives(hint)
    )


def _value_faults(hint: Any, value: Any, path: tuple[str, ...]) -> Iterator[Fault]:
    if value is None:
        return
    options = list(_alternatives(hint))
    choices = [choice for own in options if get_origin(own) is Literal for choice in get_args(own)]
    if choices and isinstance(value, str) and len(options) == 1:
        if value not in choices:
            yield Fault(path, f"is '{value}'", f"one of {', '.join(map(str, choices))}")
        return
    numbers = [own for own in options if kind_of(own) in (int, float)]
    if numbers and not isinstance(value, bool) and isinstance(value, Real):
        yield from _number_faults(numbers[0], value, path)
    elif numbers and len(options) == 1 and isinstance(value, str | bool | list | tuple):
        shown = f"'{value}'" if isinstance(value, str) else str(value)
        yield Fault(path, f"is {shown}", _allowed(numbers[0], value))
    for own in options:
        if _marks(own, (Distinct,)) and isinstance(value, tuple | list):
            repeated = [name for name, count in Counter(value).items() if count > 1]
            if repeated:
                yield Fault(path, f"names {repeated[0]} twice", "each name once")
        if (
            _marks(own, (Named,))
            and isinstance(value, str | Path)
            and not Path(value).absolute().name
        ):
            yield Fault(path, f"is {value}", "the path of a file or folder in it")
        origin, inner = get_origin(kind_of(own)), get_args(kind_of(own))
        if origin is tuple and isinstance(value, tuple) and ... not in inner:
            for part, each in zip(inner, value, strict=False):
                yield from _value_faults(part, each, path)
        elif origin is dict and isinstance(value, Mapping):
            for name, each in value.items():
                for fault in _value_faults(inner[1], each, path):
                    yield Fault(path, f"gives {name} {each}", fault.allowed)


def _number_faults(hint: Any, value: Any, path: tuple[str, ...]) -> Iterator[Fault]:
    whole = kind_of(hint) is int
    bounds = _marks(hint, (Ge, Gt, Le, Lt))
    kept = all(
        (not isinstance(own, Ge) or value >= own.ge)
        and (not isinstance(own, Gt) or value > own.gt)
        and (not isinstance(own, Le) or value <= own.le)
        and (not isinstance(own, Lt) or value < own.lt)
        for own in bounds
    )
    if not math.isfinite(value) or not kept or (whole and not isinstance(value, Integral)):
        yield Fault(path, f"is {value}", _allowed(hint, value))


def _allowed(hint: Any, value: Any) -> str:
    whole = kind_of(hint) is int
    text = _range_text(
        _marks(hint, (Ge, Gt, Le, Lt)), isinstance(value, Real) and float(value) > MOST_COUNTED
    )
    if text.endswith(" or more") and (isinstance(value, Integral) or not whole):
        return text
    return f"{'a whole number' if whole else 'a number'} {text}".rstrip()


def _range_text(bounds: list[Any], complete: bool = False) -> str:
    """Bounds in words; a limit that nobody means to reach is told only where that is asked for."""
    low = next((own for own in bounds if isinstance(own, Ge | Gt)), None)
    high = next((own for own in bounds if isinstance(own, Le | Lt)), None)
    if isinstance(high, Le) and float(high.le) >= _UNTOLD and not complete:  # type: ignore[arg-type]
        high = None
    parts = []
    if isinstance(low, Gt):
        parts.append(f"above {_number(low.gt)}")
    elif isinstance(low, Ge):
        parts.append(f"from {_number(low.ge)}" if high else f"{_number(low.ge)} or more")
    if isinstance(high, Le):
        parts.append(f"{'to' if isinstance(low, Ge) else 'and at most'} {_number(high.le)}")
    elif isinstance(high, Lt):
        parts.append(f"{'to' if isinstance(low, Ge) else 'and'} below {_number(high.lt)}")
    return " ".join(parts)


def _number(limit: Any) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:,g}"


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The hints that a union is of."""
    if get_origin(hint) in (Union, UnionType):
        return tuple(own for part in get_args(hint) for own in _alternatives(part))
    return (hint,)


def kind_of(hint: Any) -> Any:
    """The type of a hint, without its bounds."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _parts(hint: Any) -> tuple[Any, ...]:
    """The hints of the numbers in a container; nothing of what has bounds itself."""
    if get_origin(hint) in (tuple, dict, list):
        return tuple(part for part in get_args(hint) if part is not ...)
    return ()


def _marks(hint: Any, kinds: tuple[type, ...]) -> list[Any]:
    """The markers of these kinds in an annotation."""
    if get_origin(hint) is not Annotated:
        return []
    return [mark for mark in hint.__metadata__ if isinstance(mark, kinds)]
