from __future__ import annotations

from collections import UserList, deque, namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import EnvironHeaders, Headers, MultiDict

from flask_ops.log.masking import ENDINGS, LAST_NAMES, MASKED, NAMES, QUERY_NAMES, Mask
from flask_ops.log.render import render_json
from tests.fuzzing import VALUES, fuzzed
from tests.log.broken_calls import Classless

SECRET = "hunter2"
Login = namedtuple("Login", "user password")


@dataclass
class User:
    password: str
    name: str = "ann"


@dataclass
class Team:
    users: list[User]
    own: str = field(default="not for the log", repr=False)


@dataclass
class Discreet:
    """An object whose repr hides its secrets."""

    password: str
    key: str

    def __repr__(self) -> str:
        return "Discreet()"


class Secrets(Enum):
    ALL = {"password": SECRET}  # noqa: RUF012 - a member that never changes


class Strange(Mapping[str, str]):
    """A mapping that cannot be read."""

    def __getitem__(self, key: str) -> str:
        raise RuntimeError(key)

    def __iter__(self) -> Any:
        raise RuntimeError("no keys")

    def __len__(self) -> int:
        return 1


def test_each_name_is_masked() -> None:
    for name in (*NAMES, *LAST_NAMES, *ENDINGS):
        assert {name: MASKED, "order": 7} == Mask().fields({name: SECRET, "order": 7})


SECRET_KEYS = (
    *("PASSWORD", "db_password", "password_hash", "accessToken", "X-Api-Key", "apiKey", "Set-Cookie", "cookies"),
    *("Authorization", "proxy-authorization", "user.password", "passwords", "client secret", "sessionId"),
    *("CSRFToken", "secrets", "password1", "new_password2", "PGPASSWORD", "dbpassword", "accesstoken"),
    *("refreshtoken", "clientsecret", "secretkey", "privatekey", "JSESSIONID", "PHPSESSID", "passcode", "bearer"),
    *("X-Amz-Signature", "X-Amz-Security-Token", "aws_secret_access_key", "Set-Cookie2", "apiKey1", "MYSQL_PWD"),
    *("csrfmiddlewaretoken", b"password", b"X-Api-Key", "PassWord", "pass", "db_pass", "SMTP_PASS", "user[pass]"),
    *("SAMLResponse", "saml_response"),
)
OTHER_KEYS = (
    *("tokenizer", "author", "authority", "secretary", "passwordless", "path", "user_agent", "", 7, None, b"path"),
    *("auth0_domain", "oauth2", "secretariat", "designature", "passport", "pass_rate", "bypass", "code", "key", "sig"),
)


def test_a_key_names_a_secret_by_one_of_its_words() -> None:
    assert [] == [key for key in SECRET_KEYS if not Mask().hides(key, SECRET)]
    assert [] == [key for key in OTHER_KEYS if Mask().hides(key, "shown")]


def test_settings_add_names() -> None:
    expected = {"iban": MASKED, "customer_iban": MASKED, "x_ssn": MASKED, "password": MASKED, "name": "n"}

    assert expected == Mask(["iban", "SSN"]).fields(dict.fromkeys(expected, SECRET) | {"name": "n"})


def test_what_says_nothing_is_shown() -> None:
    """A missing token is useful to see, and a number of tokens is not a token."""
    expected = {"token": None, "prompt_tokens": 512, "tokens_used": 5, "totaltokens": 7, "cookies": 2}

    assert expected == Mask().fields(expected)
    assert {"token": MASKED} == Mask().fields({"token": 512})


CONTAINERS = (
    {"password": SECRET},
    [{"a": ({"password": SECRET},)}],
    deque([{"password": SECRET}]),
    MappingProxyType({"password": SECRET}),
    MultiDict([("password", SECRET)]),
    Headers({"Authorization": SECRET}),
    EnvironHeaders({"HTTP_COOKIE": SECRET}),
    [("X-Api-Key", SECRET)],
    Login("u", SECRET),
    [(b"authorization", SECRET.encode())],
    {b"password": SECRET},
    [["Authorization", SECRET]],
    {("password", SECRET)},
    {"password": SECRET}.items(),
    {"a": {"password": SECRET}}.values(),
    UserList([{"password": SECRET}]),
    User(SECRET),
    Team([User(SECRET)]),
    {"a": [User(SECRET)]},
    Secrets.ALL,
    {"password": {"deeper": SECRET}},
    {"password": [SECRET]},
)


def test_secrets_are_found_in_every_kind_of_container() -> None:
    for value in CONTAINERS:
        line = render_json(Mask().fields({"value": value})).decode()

        assert SECRET not in line
        assert MASKED in line


def test_secrets_are_found_at_any_depth() -> None:
    wraps: list[Callable[[Any], Any]] = [lambda value: [{"x": value}], lambda value: Team([value])]
    for wrap in wraps:
        deep: object = {"password": SECRET}
        for _ in range(200):
            deep = wrap(deep)

        assert SECRET not in render_json(Mask().fields({"deep": deep})).decode()


def test_of_a_dataclass_nothing_is_shown_that_its_repr_hides() -> None:
    expected = {"team": {"users": [{"password": MASKED, "name": "ann"}]}, "discreet": "Discreet()"}
    masked = Mask().fields({"team": Team([User(SECRET)]), "discreet": Discreet(SECRET, SECRET)})

    assert expected == {**masked, "discreet": repr(masked["discreet"])}


def test_what_holds_no_secret_and_no_json_stays_itself() -> None:
    mask = Mask()
    pairs = {("a", "b")}, {"a": 1}.items()
    for value in (Team([]), {1, 2}, *pairs, UserList([1]), range(10**9), b"token", object()):
        assert value is mask.fields({"a": value})["a"]
        assert value is mask.value(value)


def test_a_list_of_two_words_is_no_header() -> None:
    expected = {"missing": ["password", "email"]}

    assert expected == Mask().fields(expected)


def test_a_structure_that_holds_itself_ends() -> None:
    circle: list[Any] = []
    circle += [circle, {"password": SECRET, "circle": circle}]
    expected = {"a": ["<list within itself>", {"password": MASKED, "circle": "<list within itself>"}]}

    assert expected == Mask().fields({"a": circle})


def test_a_structure_that_grows_without_end_is_cut() -> None:
    """Each level holds the level below twice: 15 lists stand for 2 to the 15th."""
    value: list[Any] = []
    for _ in range(15):
        value = [value, value]

    assert len(render_json(Mask().fields({"a": value}))) < 300_000


def test_what_cannot_be_read_is_said() -> None:
    """For example, a lazy value whose loader fails raises when its class is read."""
    expected = {"a": "<Classless cannot be read>", "b": {"c": ["<Strange cannot be read>", 1]}}

    assert expected == Mask().fields({"a": Classless(), "b": {"c": [Strange(), 1]}})


def test_the_given_fields_stay_as_they_are() -> None:
    given_fields = {"a": {"password": SECRET}, "b": [1, 2]}
    Mask().fields(given_fields)

    assert {"a": {"password": SECRET}, "b": [1, 2]} == given_fields


def test_a_query_string_is_masked() -> None:
    queries = [
        ("", ""),
        ("q=1", "q=1"),
        ("token=abc&q=1&password=", f"token={MASKED}&q=1&password={MASKED}"),
        ("api%5Fkey=abc", f"api%5Fkey={MASKED}"),
        ("user[password]=abc", f"user[password]={MASKED}"),
        ("token", "token"),
        ("password1=abc&X-Amz-Signature=abc", f"password1={MASKED}&X-Amz-Signature={MASKED}"),
        ("a=b=c&&=&%ff=%zz&country_code=de&t=12:30", "a=b=c&&=&%ff=%zz&country_code=de&t=12:30"),
        ("PassWord=abc&SAMLResponse=abc&pass=abc", f"PassWord={MASKED}&SAMLResponse={MASKED}&pass={MASKED}"),
        # A secret may contain every separator but &. A server may take other separators, or decode more than once.
        ("a=1;password=abc;def&q=1", f"a=1;password={MASKED}&q=1"),
        ("token=abc;d=e#f%26g%3dh&q=1", f"token={MASKED}&q=1"),
        ("password%3dabc&pass%2577ord%253Dabc", f"password%3d{MASKED}&pass%2577ord%253D{MASKED}"),
        ("next=%2Flogin%3Fa%3D1%26password%3Dabc", f"next=%2Flogin%3Fa%3D1%26password%3D{MASKED}"),
        ("next=/login?password=abc", f"next=/login?password={MASKED}"),
        ('filter={"a":1,"token":"abc"}', f'filter={{"a":1,"token":{MASKED}'),
        ("filter=%7B%22token%22%3A%22abc%22%7D", f"filter=%7B%22token%22%3A{MASKED}"),
        *[(f"{name}=abc", f"{name}={MASKED}") for name in (*QUERY_NAMES, "SAMLart", "Code")],
    ]

    assert [expected for _, expected in queries] == [Mask().query(query) for query, _ in queries]


@fuzzed
@given(st.dictionaries(st.text(), VALUES, max_size=5))
@pytest.mark.system
def test_no_value_stops_it(fields: dict[str, Any]) -> None:
    masked = Mask().fields({**fields, "password": SECRET})

    assert MASKED == masked["password"]
    assert {*fields, "password"} == masked.keys()
