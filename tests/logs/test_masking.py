from __future__ import annotations

from collections import deque, namedtuple
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import EnvironHeaders, Headers, MultiDict

from service.logs.masking import MASKED, NAMES, Mask
from service.logs.render import render_json
from tests.fuzzing import VALUES, fuzzed
from tests.logs.broken_calls import Classless

SECRET = "hunter2"
Login = namedtuple("Login", "user password")


class Strange(Mapping[str, str]):
    """A mapping that cannot be read."""

    def __getitem__(self, key: str) -> str:
        raise RuntimeError(key)

    def __iter__(self) -> Any:
        raise RuntimeError("no keys")

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_masked(name: str) -> None:
    expected = {name: MASKED, "order": 7}

    assert expected == Mask().fields({name: SECRET, "order": 7})


@pytest.mark.parametrize(
    "key",
    [
        *("PASSWORD", "db_password", "password_hash", "accessToken", "X-Api-Key", "apiKey", "Set-Cookie", "cookies"),
        *("Authorization", "proxy-authorization", "user.password", "passwords", "client secret", "sessionId"),
        *("CSRFToken", "secrets"),
    ],
)
def test_a_key_names_a_secret_by_one_of_its_words(key: str) -> None:
    assert Mask().hides(key, SECRET)


@pytest.mark.parametrize(
    "key",
    ["tokenizer", "author", "authority", "secretary", "passwordless", "path", "user_agent", "", 7, None, b"token"],
)
def test_other_keys_do_not(key: object) -> None:
    assert not Mask().hides(key, "shown")


def test_settings_add_names() -> None:
    expected = {"iban": MASKED, "customer_iban": MASKED, "x_ssn": MASKED, "password": MASKED, "name": "n"}

    assert expected == Mask(["iban", "SSN"]).fields(dict.fromkeys(expected, SECRET) | {"name": "n"})


def test_what_says_nothing_is_shown() -> None:
    """That there is no token is worth knowing, and a number of tokens is no token."""
    expected = {"token": None, "prompt_tokens": 512}

    assert expected == Mask().fields(expected)
    assert {"token": MASKED} == Mask().fields({"token": 512})


@pytest.mark.parametrize(
    "value",
    [
        {"password": SECRET},
        [{"a": ({"password": SECRET},)}],
        deque([{"password": SECRET}]),
        MappingProxyType({"password": SECRET}),
        MultiDict([("password", SECRET)]),
        Headers({"Authorization": SECRET}),
        EnvironHeaders({"HTTP_COOKIE": SECRET}),
        [("X-Api-Key", SECRET)],
        Login("u", SECRET),
        {"password": {"deeper": SECRET}},
        {"password": [SECRET]},
    ],
    ids=lambda value: type(value).__name__,
)
def test_secrets_are_found_in_every_kind_of_container(value: object) -> None:
    line = render_json(Mask().fields({"value": value})).decode()

    assert SECRET not in line
    assert MASKED in line


def test_secrets_are_found_at_any_depth() -> None:
    deep: object = {"password": SECRET}
    for _ in range(200):
        deep = [{"x": deep}]

    assert SECRET not in render_json(Mask().fields({"deep": deep})).decode()


def test_a_structure_that_holds_itself_ends() -> None:
    circle: list[Any] = []
    circle += [circle, {"password": SECRET, "circle": circle}]
    expected = {"a": ["<list within itself>", {"password": MASKED, "circle": "<list within itself>"}]}

    assert expected == Mask().fields({"a": circle})


def test_a_structure_that_grows_without_end_is_cut() -> None:
    """Each level holds the one below twice: 2 to the 15th lists, made of 15."""
    value: list[Any] = []
    for _ in range(15):
        value = [value, value]

    assert len(render_json(Mask().fields({"a": value}))) < 300_000


def test_what_cannot_be_read_is_said() -> None:
    expected = {"a": "<Strange cannot be read>", "b": {"c": ["<Strange cannot be read>", 1]}}

    assert expected == Mask().fields({"a": Strange(), "b": {"c": [Strange(), 1]}})


def test_what_does_not_say_what_it_is_is_said() -> None:
    """Such as a lazy value whose loader fails: it raises for whoever asks for its class."""
    expected = {"a": "<Classless cannot be read>", "b": 1}

    assert expected == Mask().fields({"a": Classless(), "b": 1})


def test_the_given_fields_stay_as_they_are() -> None:
    given_fields = {"a": {"password": SECRET}, "b": [1, 2]}
    Mask().fields(given_fields)

    assert {"a": {"password": SECRET}, "b": [1, 2]} == given_fields


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("q=1", "q=1"),
        ("token=abc&q=1&password=", f"token={MASKED}&q=1&password={MASKED}"),
        ("api%5Fkey=abc", f"api%5Fkey={MASKED}"),
        ("user[password]=abc", f"user[password]={MASKED}"),
        ("token", "token"),
        ("a=b=c&&=&%ff=%zz", "a=b=c&&=&%ff=%zz"),
    ],
)
def test_a_query_string_is_masked(query: str, expected: str) -> None:
    assert expected == Mask().query(query)


@fuzzed
@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_no_value_stops_it(fields: dict[str, Any]) -> None:
    masked = Mask().fields({**fields, "password": SECRET})

    assert MASKED == masked["password"]
    assert {*fields, "password"} == masked.keys()
