"""Impossible inertias of a URDF become possible ones, which MuJoCo takes, and are told."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

from bodyplan.errors import BodyplanError
from bodyplan.robots.reading.urdf_inertias import mend_inertias
from bodyplan.robots.reading.xml_elements import read_elements, to_text

URDF = """<robot name="r"><link name="base"><inertial><mass value="2"/>
<inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial></link>
<joint name="j" type="revolute"><parent link="base"/><child link="leg"/><axis xyz="0 1 0"/>
<limit lower="-1" upper="1" effort="1" velocity="1"/></joint>
<link name="leg">{leg}</link></robot>"""
LEG = '<inertial><mass value="{mass}"/><inertia {moments} {products}/></inertial>{shape}'
BOX = '<collision><geometry><box size="0.1 0.2 0.3"/></geometry></collision>'


def mended(mass="1", moments="", products='ixy="0" ixz="0" iyz="0"', shape="", leg=None):
    """The leg of a robot as MuJoCo compiles it, and the notes."""
    moments = moments or 'ixx="0" iyy="0" izz="0"'
    leg = (
        LEG.format(mass=mass, moments=moments, products=products, shape=shape)
        if leg is None
        else leg
    )
    root = read_elements(Path("r.urdf"), URDF.format(leg=leg).encode())
    notes = mend_inertias(root)
    spec = mujoco.MjSpec.from_string(to_text(root))
    spec.compiler.fusestatic = False
    return spec.compile().body("leg"), notes


def test_a_possible_inertia_is_left_alone():
    body, notes = mended(moments='ixx="2" iyy="3" izz="4"')
    assert sorted(body.inertia) == pytest.approx([2.0, 3.0, 4.0])
    assert not notes


def test_a_moment_above_the_sum_of_the_others_is_balanced():
    body, (note,) = mended(moments='ixx="0.006" iyy="0.004" izz="0.001"')
    low, middle, high = np.sort(body.inertia)
    assert high == pytest.approx(0.006, rel=0.01)
    assert low + middle >= high
    assert (middle, low) == (pytest.approx(0.0045, rel=0.01), pytest.approx(0.0015, rel=0.01))
    assert (note.kind, "'leg'" in note.text) == ("changed", True)


def test_axes_that_do_not_lie_along_the_frame_are_kept():
    body, _ = mended(moments='ixx="5" iyy="5" izz="1"', products='ixy="-4.5" ixz="0" iyz="0"')
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, body.iquat)
    axis = turn.reshape(3, 3)[:, np.argmax(body.inertia)]
    assert np.abs(axis) == pytest.approx([0.5**0.5, 0.5**0.5, 0.0], abs=1e-3)


def test_a_zero_inertia_is_that_of_the_solid_shape():
    body, (note,) = mended(mass="12", shape=BOX)
    assert sorted(body.inertia) == pytest.approx([0.05, 0.1, 0.13])
    assert "zero" in note.text
    body, _ = mended(mass="1")
    assert np.ptp(body.inertia) == pytest.approx(0.0, abs=1e-9)


def test_a_link_without_mass_gets_some():
    body, (note,) = mended(leg="")
    assert body.mass == pytest.approx(0.002)
    assert "masses of link 'leg'" in note.text


def test_a_mass_by_the_shape_is_a_guess():
    body, (note,) = mended(leg=BOX)
    assert body.mass == pytest.approx(6.0)
    assert note.kind == "guessed"


def test_negative_moments_are_refused():
    with pytest.raises(BodyplanError, match="'leg'"):
        mended(moments='ixx="-1" iyy="1" izz="1"')
