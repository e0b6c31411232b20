"""Pandas data frames from rows of values; pandas is imported only when it is needed."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bodyplan.errors import BodyplanError

if TYPE_CHECKING:
    import pandas


def dataframe(rows: Iterable[Mapping[str, Any]], index: str | None = None) -> "pandas.DataFrame":
    """A data frame with one row for each mapping of column names to values.

    Args:
        rows: the rows, which may differ in their columns.
        index: name of the column that becomes the index; row numbers by default.

    Raises:
        BodyplanError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise BodyplanError(
            "to_dataframe() needs pandas; install it with `pip install 'bodyplan[pandas]'`."
        ) from error
    frame = pandas.DataFrame(list(rows))
    return frame if index is None else frame.set_index(index)
