"""How robots share the actor: one file for each way of combining their losses."""

from bodyplan.learn.combiners.aligned_mtl import AlignedMTL
from bodyplan.learn.combiners.cagrad import CAGrad
from bodyplan.learn.combiners.combiner import Combiner
from bodyplan.learn.combiners.grouped import Grouped
from bodyplan.learn.combiners.pcgrad import PCGrad
from bodyplan.learn.combiners.pooled import Pooled
from bodyplan.learn.combiners.selective import Selective

COMBINERS: dict[str, type[Combiner]] = {
    "pooled": Pooled,
    "grouped": Grouped,
    "selective": Selective,
    "pcgrad": PCGrad,
    "cagrad": CAGrad,
    "aligned_mtl": AlignedMTL,
}
"""By the name given as `--combine`."""
