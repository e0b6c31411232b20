"""Every table and figure of the paper that `bodyplan reproduce` makes.

Abe, Osa, Mukuta, Harada, "Cross-Embodiment Offline RL for Heterogeneous Robot Datasets", arXiv
2602.18025, ICLR 2026. No whole copy was at hand. Where a `doubt` stands, we know what the paper
examines, and do not know whether this table or figure is the one that shows it.
"""

from bodyplan.experiments.paper_arms import SETS, SUBOPTIMAL
from bodyplan.experiments.products.product import Product
from bodyplan.experiments.products.returns_table import ReturnsTable
from bodyplan.experiments.products.settings_table import SettingsTable

_WHICH = (
    "No copy at hand shows which settings the paper has in this table. These are of the same kind."
)
_PRODUCTS: tuple[Product, ...] = (
    ReturnsTable(
        name="table1",
        title="Behaviour cloning and IQL on six sets",
        question="Does offline RL pay on suboptimal data of many robots?",
        sets=SETS,
        arms=("BC", "IQL"),
        baseline="BC",
    ),
    ReturnsTable(
        name="table3",
        title="All methods on six sets",
        question="Which method earns most, and where does embodiment grouping (EG) pay?",
        sets=SETS,
        arms=("BC", "TD3+BC", "IQL", "IQL+SEL", "IQL+PCGrad", "BC+EG", "TD3+BC+EG", "IQL+EG"),
        baseline="IQL",
    ),
    ReturnsTable(
        name="table4",
        title="Groups of other kinds on the 70 % suboptimal set",
        question="Do bodies matter, or would any partition of the robots do?",
        sets=(SUBOPTIMAL,),
        arms=("IQL", "IQL+random groups", "IQL+heuristic groups", "IQL+EG"),
        baseline="IQL+EG",
    ),
    ReturnsTable(
        name="table5",
        title="As many actor steps without groups, on the 70 % suboptimal set",
        question="Is it the groups, or only that the actor steps more often?",
        sets=(SUBOPTIMAL,),
        arms=("IQL", "IQL, as many actor steps", "IQL+EG"),
        baseline="IQL+EG",
    ),
    SettingsTable(
        name="table6",
        title="Settings of the experts' PPO",
        question="How were the policies trained that the data come from?",
        doubt=_WHICH,
        parts=("experts",),
    ),
    SettingsTable(
        name="table7",
        title="Settings of offline learning",
        question="What are the hyperparameters of IQL, TD3+BC and BC?",
        doubt=_WHICH,
        parts=("training",),
    ),
    SettingsTable(
        name="table8",
        title="Settings of the distance between bodies",
        question="What decides the distances that groups are made of?",
        doubt=(
            "The paper's table gives alpha and the regularisation; no copy at hand has their "
            "values. Ours come nearest to the distances that are known of the authors' release."
        ),
        parts=("groups",),
    ),
    ReturnsTable(
        name="table10",
        title="Critics that step group by group too, on the 70 % suboptimal set",
        question="Should critics be grouped as well?",
        sets=(SUBOPTIMAL,),
        arms=("IQL+EG", "IQL+EG-Actor+Critic"),
        baseline="IQL+EG",
    ),
    SettingsTable(
        name="table11",
        title="Sizes of the networks",
        question="How large are policy and critics?",
        doubt=_WHICH,
        parts=("networks",),
    ),
    SettingsTable(
        name="table12",
        title="Settings of what combines robots",
        question="What do grouping, SEL and gradient surgery leave to choose?",
        doubt=_WHICH,
        parts=("combiners",),
    ),
)
CATALOGUE = {product.name: product for product in _PRODUCTS}
"""By name, tables before figures."""
