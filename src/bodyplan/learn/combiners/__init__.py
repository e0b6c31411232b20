"""How robots share the actor: one file for each way of combining their losses."""

from bodyplan.learn.combiners.combiner import Combiner
from bodyplan.learn.combiners.grouped import Grouped
from bodyplan.learn.combiners.pooled import Pooled

COMBINERS: dict[str, type[Combiner]] = {"pooled": Pooled, "grouped": Grouped}
"""By the name given as `--combine`."""
