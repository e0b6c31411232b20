"""Records: a fault in a document is one sentence that names the file and the field."""

import json
from typing import Annotated, NotRequired, TypedDict

import pytest
from msgspec import Meta

from bodyplan.errors import BodyplanError
from bodyplan.records import checked_record, read_record


class Leg(TypedDict):
    joints: list[int]
    length: NotRequired[float | None]


class Body(TypedDict):
    legs: Annotated[dict[str, Leg], Meta(min_length=1)]
    name: str


BODY = {"name": "dog", "legs": {"front.left": {"joints": [1, 2]}, "[0]": {"joints": [], "more": 1}}}


def test_a_sound_document_is_given_back_as_it_is():
    assert checked_record("body.json", BODY, Body) is BODY
    assert set(BODY["legs"]) == {"front.left", "[0]"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": 3}, "name is a whole number where text belongs"),
        ({"legs": {}}, "legs is wrong"),
        ({"legs": {"a": {"joints": [10**30]}}}, "more than 63 bits"),
        ({"legs": []}, "legs is a list where an object with fields belongs"),
        ({"legs": {"a": {}}}, "legs.a.joints is missing"),
        ({"legs": {**BODY["legs"], "b.c": {"joints": [1, 2.5]}}}, "legs.b.c.joints[1] is a number"),
        ({"legs": {"a": {"joints": [True]}}}, "legs.a.joints[0] is true or false where"),
        ({"legs": {"a": {"joints": [], "length": "1"}}}, "where a number or null belongs"),
    ],
)
def test_the_field_is_named(tmp_path, change, sentence):
    path = tmp_path / "body.json"
    path.write_text(json.dumps(BODY | change))
    with pytest.raises(BodyplanError) as refusal:
        read_record(path, Body, "mend it")
    assert sentence in str(refusal.value)
    assert str(refusal.value).startswith(f"{path}: ")
    assert str(refusal.value).endswith("; mend it.")


@pytest.mark.parametrize(
    ("found", "sentence"),
    [(3, "upgrade bodyplan"), (1, "mend it"), (None, "mend it"), ("2", "mend it")],
)
def test_another_format_says_what_to_do(tmp_path, found, sentence):
    path = tmp_path / "body.json"
    path.write_text(json.dumps(BODY | {"format": found}))
    with pytest.raises(BodyplanError, match=f"format .*; {sentence}"):
        read_record(path, Body, "mend it", newest=2)
    path.write_text(json.dumps(BODY | {"format": 2}))
    assert read_record(path, Body, newest=2)["name"] == "dog"


@pytest.mark.parametrize("text", ["[1]", "3", "null", '{"a": NaN}', "{", '{"a":' * 100_000])
def test_what_is_no_object_is_refused(tmp_path, text):
    (tmp_path / "body.json").write_text(text)
    with pytest.raises(BodyplanError, match=r"body.json"):
        read_record(tmp_path / "body.json", Body)
