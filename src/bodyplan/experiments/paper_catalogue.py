"""Every table and figure of the paper that `bodyplan reproduce` makes.

Abe, Osa, Mukuta, Harada, "Cross-Embodiment Offline RL for Heterogeneous Robot Datasets", arXiv
2602.18025, ICLR 2026. No whole copy was at hand. Where a `doubt` stands, we know what the paper
examines, and do not know whether this table or figure is the one that shows it.
"""

from bodyplan.experiments.paper_arms import SETS, SUBOPTIMAL
from bodyplan.experiments.products.body_cosines import BodyCosines
from bodyplan.experiments.products.body_groups import BodyGroups
from bodyplan.experiments.products.conflict_study import ConflictStudy
from bodyplan.experiments.products.cost_table import CostTable
from bodyplan.experiments.products.data_returns import DataReturns
from bodyplan.experiments.products.gain_cosines import GainCosines
from bodyplan.experiments.products.group_count_sweep import GroupCountSweep
from bodyplan.experiments.products.learning_curves import LearningCurves
from bodyplan.experiments.products.leave_one_out import LeaveOneOut
from bodyplan.experiments.products.product import Product
from bodyplan.experiments.products.returns_by_robot import ReturnsByRobot
from bodyplan.experiments.products.returns_table import ReturnsTable
from bodyplan.experiments.products.settings_table import SettingsTable
from bodyplan.experiments.products.transfer_study import TransferStudy

_WHICH = (
    "No copy at hand shows which settings the paper has in this table. These are of the same kind."
)
_NUMBER = (
    "The paper examines this; that it is this figure is our guess, for no copy at hand shows its "
    "figures."
)
_METHODS = ("BC", "TD3+BC", "IQL", "IQL+SEL", "IQL+PCGrad", "BC+EG", "TD3+BC+EG", "IQL+EG")
_PRODUCTS: tuple[Product, ...] = (
    ReturnsTable(
        name="table1",
        title="Behaviour cloning and IQL on six sets",
        question="Does offline RL pay on suboptimal data of many robots?",
        sets=SETS,
        arms=("BC", "IQL"),
        baseline="BC",
    ),
    TransferStudy(
        name="table2",
        title="One policy for all robots, or one for each",
        question="Which robots gain by learning with others, and which lose?",
        doubt="The paper's returns of two robots are known, from notes of other readers.",
        dataset=SUBOPTIMAL,
        arm="IQL",
        paper=(
            "In the paper, a1, go1, go2 and badger gain, h1 and g1 collapse, and the mean over "
            "robots falls."
        ),
    ),
    ReturnsTable(
        name="table3",
        title="All methods on six sets",
        question="Which method earns most, and where does embodiment grouping (EG) pay?",
        sets=SETS,
        arms=_METHODS,
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
    CostTable(
        name="table9",
        title="What methods cost",
        question="How much time do groups and gradient surgery take?",
        doubt="That the paper's table is of the cost of methods is known here, not its numbers.",
        dataset=SUBOPTIMAL,
        arms=_METHODS,
        baseline="IQL",
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
    LeaveOneOut(
        name="figure1",
        title="A robot that pre-training never saw",
        question="Does pre-training on other robots give a new one a head start?",
        doubt=(
            "The paper's data and method in this figure are not known here; these are IQL on the "
            "70 % suboptimal set."
        ),
        dataset=SUBOPTIMAL,
        arm="IQL",
    ),
    ConflictStudy(
        name="figure2",
        title="Conflicts between gradients, by the quality of data",
        question="Do robots' gradients conflict more often the worse the data are?",
        doubt=f"{_NUMBER} The paper's shares are from a summary by other readers.",
        arm="IQL",
        sets=("expert-forward", "suboptimal30-forward", SUBOPTIMAL),
        reported={"expert-forward": 0.159, "suboptimal30-forward": 0.268, SUBOPTIMAL: 0.323},
    ),
    ConflictStudy(
        name="figure3",
        title="Conflicts between gradients, by the diversity of robots",
        question="Do gradients conflict more often the more the robots differ?",
        doubt=_NUMBER,
        arm="IQL",
        sets=(SUBOPTIMAL,),
        nested=True,
    ),
    GainCosines(
        name="figure4",
        title="Gains from learning together, against how gradients agree",
        question="Do robots gain whose gradients agree with those of the others?",
        doubt=_NUMBER,
        dataset=SUBOPTIMAL,
        arm="IQL",
        reported=0.815,
    ),
    BodyCosines(
        name="figure5",
        title="Likeness of bodies, against how gradients agree",
        question="Do gradients agree more where bodies are more alike?",
        doubt=_NUMBER,
        dataset="expert-forward",
        arm="IQL",
        reported=0.63,
    ),
    ReturnsByRobot(
        name="figure6",
        title="Returns robot by robot, with groups and without",
        question="Which robots do groups help?",
        doubt=_NUMBER,
        dataset=SUBOPTIMAL,
        arms=("IQL", "IQL+EG"),
    ),
    DataReturns(
        name="figure8",
        title="Returns in the data",
        question="How good are the steps that robots learn from?",
        sets=("expert-forward", "expert_replay-forward", SUBOPTIMAL),
    ),
    GroupCountSweep(
        name="figure10",
        title="Numbers of groups",
        question="How many groups are best?",
        doubt=_NUMBER,
        dataset=SUBOPTIMAL,
    ),
    BodyGroups(
        name="figure11",
        title="Groups of robots by their bodies",
        question="Which robots are alike?",
        doubt=(
            "Of the paper's groups, a part of those for two is known here. Distances are known "
            "from the authors' release."
        ),
        counts=(4, 2, 7, 10, 13),
        distances={
            ("unitree_a1", "unitree_go1"): 0.0222,
            ("unitree_a1", "barkour_vb"): 0.0838,
            ("unitree_a1", "hexapod"): 0.1858,
            ("unitree_a1", "unitree_h1"): 0.2821,
        },
        together=("unitree_a1", "unitree_go1", "barkour_vb", "hexapod"),
        apart="unitree_h1",
    ),
    GainCosines(
        name="figure12",
        title="The same gains and gradients, of TD3+BC",
        question="Is it so with another algorithm that robots gain whose gradients agree?",
        doubt=_NUMBER,
        dataset=SUBOPTIMAL,
        arm="TD3+BC",
    ),
    BodyCosines(
        name="figure14",
        title="Likeness of bodies and gradients, of TD3+BC",
        question="Is it so with another algorithm that alike bodies have alike gradients?",
        doubt=_NUMBER,
        dataset="expert-forward",
        arm="TD3+BC",
        reported=0.71,
    ),
    LearningCurves(
        name="figure15",
        title="Returns over training",
        question="Do groups learn faster, or get farther?",
        doubt=_NUMBER,
        dataset=SUBOPTIMAL,
        arms=("IQL", "IQL+EG"),
    ),
)
CATALOGUE = {product.name: product for product in _PRODUCTS}
"""By name, tables before figures."""
