"""The body frame: a quadruped whose axes are another's is turned to stand upright and forward."""

import itertools

import mujoco
import numpy as np
import pytest

from bodyplan.robots.body_frame import standing_rotation
from bodyplan.robots.reading.read_model import read_model
from bodyplan.robots.registry import MODELS, packaged_robots

LEG = """<body name="{n}_hip" pos="{hip}"><joint axis="{roll}" range="-1 1"/><geom size=".02"/>
<body pos="{side}"><joint axis="{pitch}" range="-1 1"/><geom size=".02"/>
<body pos="{down}"><joint axis="{pitch}" range="-2 0"/><geom size=".02" pos="{down}"/></body></body>
</body>"""
TURNS = [
    np.array(rows)
    for order in itertools.permutations(np.eye(3))
    for signs in itertools.product((1, -1), repeat=3)
    if np.linalg.det(rows := np.array(order) * np.array(signs)[:, None]) > 0
]
"""The rotations that map axes to axes."""


def dog(turn):
    """A quadruped whose frame is turned."""

    def words(*vector):
        return " ".join(f"{value:g}" for value in turn @ np.array(vector))

    legs = [
        LEG.format(
            n=f"{'F' if x > 0 else 'R'}{'L' if y > 0 else 'R'}",
            hip=words(0.2 * x, 0.1 * y, 0),
            side=words(0, 0.07 * y, 0),
            roll=words(1, 0, 0),
            pitch=words(0, 1, 0),
            down=words(0, 0, -0.2),
        )
        for x in (1, -1)
        for y in (1, -1)
    ]
    body = f'<body name="trunk"><freejoint/><geom size=".1"/>{"".join(legs)}</body>'
    compiler = '<compiler angle="radian"/>'
    text = f"<mujoco>{compiler}<worldbody>{body}</worldbody></mujoco>"
    return mujoco.MjModel.from_xml_string(text)


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: str(turn.astype(int).tolist()))
def test_any_frame_is_found(turn):
    found = standing_rotation(dog(turn))
    back = np.zeros(9)
    mujoco.mju_quat2Mat(back, np.array([1.0, 0, 0, 0]) if found is None else found.quat)
    np.testing.assert_allclose(back.reshape(3, 3) @ turn, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("name", packaged_robots())
def test_packaged_robots_are_not_turned(name):
    assert standing_rotation(read_model(MODELS / f"{name}.xml").spec.compile()) is None
