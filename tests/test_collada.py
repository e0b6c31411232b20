"""Collada meshes: positions through nodes and units, polygons as fans."""

from pathlib import Path

import numpy as np
import pytest

from bodyplan.errors import BodyplanError
from bodyplan.robots.reading.collada import collada_triangles

FILE = """<?xml version="1.0" encoding="utf-8"?>
<COLLADA><asset><unit name="cm" meter="0.01"/><up_axis>Y_UP</up_axis></asset>
<library_geometries><geometry id="g"><mesh>
<source id="p"><float_array id="a" count="12">0 0 0 1 0 0 1 1 0 0 1 0</float_array></source>
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
{faces}</mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="s"><node><translate>0 0 10</translate>
<node><rotate>0 0 1 90</rotate><scale>2 2 2</scale><instance_geometry url="#g"/></node></node>
</visual_scene></library_visual_scenes></COLLADA>"""
INPUT = '<input semantic="VERTEX" source="#v" offset="0"/><input semantic="NORMAL" offset="1"/>'
FACES = {
    "triangles": f'<triangles count="2">{INPUT}<p>0 9 1 9 2 9 0 9 2 9 3 9</p></triangles>',
    "polylist": f'<polylist count="1">{INPUT}<vcount>4</vcount><p>0 9 1 9 2 9 3 9</p></polylist>',
    "polygons": f'<polygons count="1">{INPUT}<p>0 9 1 9 2 9 3 9</p></polygons>',
}


def read(faces):
    return collada_triangles(Path("a.dae"), FILE.format(faces=faces).encode())


@pytest.mark.parametrize("kind", FACES)
def test_a_square_is_two_triangles(kind):
    triangles = read(FACES[kind])
    # Scaled by 2, turned by 90 degrees, lifted by 10 cm, in metres.
    square = 0.01 * np.array([[0, 0, 10], [0, 2, 10], [-2, 2, 10], [-2, 0, 10]])
    expected = square[[[0, 1, 2], [0, 2, 3]]]
    np.testing.assert_allclose(triangles, expected, atol=1e-12)


def test_a_file_without_faces_is_empty():
    assert read("").shape == (0, 3, 3)


def test_an_entity_is_refused():
    text = b'<!DOCTYPE a [<!ENTITY b "c">]><COLLADA/>'
    with pytest.raises(BodyplanError, match="DOCTYPE"):
        collada_triangles(Path("a.dae"), text)
