"""The registry of algorithms and combiners: those of bodyplan, and those of installed packages.

A package offers one of its own through the entry point groups `bodyplan.algorithms` and
`bodyplan.combiners`. The entry point's name is the one given as `--algorithm` or `--combine`, and
it points to a subclass of `Algorithm` or `Combiner`. Its hyperparameters are then options of
`bodyplan train`, and part of a run's config.json and identity.

A class that was only defined or imported, in a notebook say, goes by its own name: `PositiveTD` is
`positive_td`. Its runs can be loaded wherever the class is defined first.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import ValidationError, convert

from bodyplan.errors import BodyplanError

if TYPE_CHECKING:
    from bodyplan.learn.algorithms.algorithm import Algorithm
    from bodyplan.learn.combiners.combiner import Combiner

Method = TypeVar("Method", "Algorithm", "Combiner")


@dataclass(frozen=True)
class Registry(Generic[Method]):
    """The methods of one kind, by name."""

    kind: str
    """What an error message calls one of them."""
    group: str
    """Entry point group of other packages' methods."""
    base: str
    """Class that all of them derive from, as `module:Class`."""
    builtin: Mapping[str, str]
    """Those that come with bodyplan, likewise. Each is imported, and JAX with it, when needed."""

    def names(self) -> tuple[str, ...]:
        """All names that can be given; bodyplan's own first."""
        return (*self.builtin, *(name for name in _offered(self.group) if name not in self.builtin))

    def find(self, name: str) -> type[Method]:
        """The class of that name.

        Raises:
            BodyplanError: there is none, or the package that offers it is faulty.
        """
        if name in self.builtin:
            builtin: type[Method] = _import(self.builtin[name])
            return builtin
        base, point = _import(self.base), _offered(self.group).get(name)
        if point is None:
            for defined in _subclasses(base):
                if _snake_case(defined.__name__) == name:
                    return defined
            raise BodyplanError(
                f"no {self.kind} is called {name}; choose one of {', '.join(self.names())}"
            )
        package = point.dist.name if point.dist else "a package"
        offer = f"the {self.kind} '{name}' is offered by {package} as {point.value}"
        try:
            found = point.load()
        except Exception as error:  # whatever another package's code raises
            raise BodyplanError(
                f"{offer}, which cannot be imported ({type(error).__name__}: {error}); update or "
                "remove that package"
            ) from error
        if not (isinstance(found, type) and issubclass(found, base) and name.isidentifier()):
            raise BodyplanError(
                f"{offer}, which is no subclass of {base.__name__} under a plain name; "
                "update or remove that package"
            )
        return found

    def make(self, method: Method | str, settings: Mapping[str, Any] | None = None) -> Method:
        """A method given by name and hyperparameters; one that is made already is kept.

        Raises:
            BodyplanError: there is none of that name, or it has no such hyperparameter or value.
        """
        if not isinstance(method, str):
            return method
        kind, settings = self.find(method), settings or {}
        try:
            made = kind(**settings)
            with suppress(TypeError, NameError):  # annotations that only their package knows
                convert(settings, kind)
            return made
        except (TypeError, ValidationError) as error:
            raise BodyplanError(
                f"the {self.kind} '{method}' does not take these settings ({error}); "
                "use the version of bodyplan, or of its package, that they were written with"
            ) from error

    def name_of(self, method: Method | str) -> str:
        """The name of a method, under which `find` finds its class.

        Raises:
            BodyplanError: another class has this name.
        """
        if isinstance(method, str):
            self.find(method)
            return method
        for name in self.names():
            if self.find(name) is type(method):
                return name
        name = _snake_case(type(method).__name__)
        if self.find(name) is type(method):
            return name
        raise BodyplanError(
            f"another {self.kind} is called {name}; give the class {type(method).__name__} another "
            "name"
        )


def _import(target: str) -> Any:
    module, name = target.split(":")
    return getattr(import_module(module), name)


def _subclasses(base: type[Method]) -> Iterator[type[Method]]:
    """All classes that derive from a class, those defined last first."""
    for derived in reversed(base.__subclasses__()):
        yield from _subclasses(derived)
        yield derived


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


@cache
def _offered(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


ALGORITHMS: Registry["Algorithm"] = Registry(
    "algorithm",
    "bodyplan.algorithms",
    "bodyplan.learn.algorithms.algorithm:Algorithm",
    {
        "bc": "bodyplan.learn.algorithms.bc:BC",
        "td3_bc": "bodyplan.learn.algorithms.td3_bc:TD3BC",
        "awac": "bodyplan.learn.algorithms.awac:AWAC",
        "iql": "bodyplan.learn.algorithms.iql:IQL",
    },
)
COMBINERS: Registry["Combiner"] = Registry(
    "combiner",
    "bodyplan.combiners",
    "bodyplan.learn.combiners.combiner:Combiner",
    {
        "pooled": "bodyplan.learn.combiners.pooled:Pooled",
        "grouped": "bodyplan.learn.combiners.grouped:Grouped",
        "selective": "bodyplan.learn.combiners.selective:Selective",
        "pcgrad": "bodyplan.learn.combiners.pcgrad:PCGrad",
        "cagrad": "bodyplan.learn.combiners.cagrad:CAGrad",
        "aligned_mtl": "bodyplan.learn.combiners.aligned_mtl:AlignedMTL",
    },
)
