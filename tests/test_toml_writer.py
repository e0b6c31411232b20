"""What is written as TOML reads back as the same config."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from bodyplan.robots.registry import MODELS, packaged_robots
from bodyplan.robots.toml_writer import to_toml

SCALARS = st.one_of(
    st.text(st.characters(blacklist_categories=["Cs"])),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, width=64),
)
KEYS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=60), st.lists(st.lists(SCALARS, max_size=3)))
TABLES = st.dictionaries(
    KEYS, st.one_of(VALUES, st.dictionaries(KEYS, VALUES, max_size=3)), max_size=5
)


@given(st.dictionaries(KEYS, st.one_of(VALUES, TABLES), max_size=6))
def test_any_config_survives_writing_and_reading(config):
    assert tomllib.loads(to_toml(config)) == config


def test_the_packaged_robots_survive_too_in_lines_of_readable_length():
    for name in packaged_robots():
        config = tomllib.loads((MODELS / f"{name}.toml").read_text())
        text = to_toml(config, {"[joints]": "task order"})
        assert tomllib.loads(text) == config
        assert "[joints]  # task order\n" in text
        assert "kp = " in text
        assert "  # N m / rad\n" in text


def test_only_lists_are_wrapped():
    content = {"text": "long " * 40, "names": ["name"] * 40}
    text = to_toml(content, {"names": "task order"})
    assert tomllib.loads(text) == content
    first, *others = text.splitlines()
    assert first.startswith('text = "long long')
    assert others[0] == "names = ["
    assert max(map(len, others)) < 100
    assert others[-1] == "]  # task order"
