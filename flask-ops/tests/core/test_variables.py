from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pytest

from flask_ops.core.variables import Parse, choice, integer, names, seconds, setting, shares, text


class Colour(StrEnum):
    """Options to choose from."""

    RED = "red"
    GREEN = "green"


WORD = text(r"[a-z]{2,4}", "2 to 4 small letters")


def test_a_value_of_the_expected_form_is_read() -> None:
    """The value has the expected type, not only the same text."""
    cases: list[tuple[Parse, str, object]] = [
        (WORD, "ab", "ab"),
        (WORD, "abcd", "abcd"),
        (integer(1, 10), "1", 1),
        (integer(1, 10), "10", 10),
        (integer(1, 10), "007", 7),
        (integer(-5, 5), "-5", -5),
        (integer(0, 2**40), "1099511627776", 2**40),
        (seconds(0, 60), "0", 0.0),
        (seconds(0, 60), "60", 60.0),
        (seconds(0, 60), "0.5", 0.5),
        (choice(Colour), "red", Colour.RED),
        (choice(Colour), "GREEN", Colour.GREEN),
        (names, "iban", ("iban",)),
        (names, "iban, x-ssn  pin_2,", ("iban", "x-ssn", "pin_2")),
        (shares, "/=0.1", {"/": 0.1}),
        (
            shares,
            "/items/<int:number>=0  /a=b=1 *=0.25 unmatched=1.0",
            {"/items/<int:number>": 0.0, "/a=b": 1.0, "*": 0.25, "unmatched": 1.0},
        ),
    ]
    for parse, value, expected in cases:
        read = parse(value)
        assert expected == read
        assert type(read) is type(expected)


def test_any_other_value_is_refused_with_what_was_expected() -> None:
    """The error's text is the expected form, so that a caller can quote it. A trailing newline is refused, too."""
    cases: list[tuple[Parse, str, list[str]]] = [
        (WORD, "2 to 4 small letters", ["", "a", "abcde", "AB", "ab ", "ab\n", "a1"]),
        (
            integer(1, 10),
            "a whole number from 1 to 10",
            ["", "0", "11", "-1", "1.0", "1e1", "+1", "1_0", " 1", "1\n", "ten", "0x1", "\N{ARABIC-INDIC DIGIT ONE}"],
        ),
        (integer(1, 10), "a whole number from 1 to 10", ["9" * 5000]),
        (
            seconds(0, 1.5),
            "seconds, from 0 to 1.5",
            ["", "-0.1", "1.6", "nan", "inf", "-inf", "1s", "one", "1,5", "1e1", "1_0", "\N{ARABIC-INDIC DIGIT ONE}"],
        ),
        (choice(Colour), "one of red, green", ["", "blue", "re", "red green"]),
        (names, "names of letters, digits, '.', '_' and '-', with commas between them", [",", "a;b", "a,?", "x" * 65]),
        (
            shares,
            "pairs like /route=0.1 or *=0.5 with spaces between them, shares from 0 to 1",
            ["0.1", "/", "/=", "/=1.1", "/=-1", "/=10%", "items=0.1", "/=0.1,/x=0.2", "/=1e-1"],
        ),
    ]
    for parse, expected, values in cases:
        for value in values:
            with pytest.raises(ValueError, match=r".+") as raised:
                parse(value)
            assert expected == str(raised.value)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Two declared variables."""

    colour: Colour = setting("SAMPLE_COLOUR", choice(Colour), default=Colour.RED, help="Its colour.")
    password: str = setting(
        "SAMPLE_PASSWORD", WORD, default=None, help="Opens it.", fallback=("PASSWORD", WORD), secret=True
    )


def test_a_declared_field_has_to_be_given_and_a_secret_is_not_in_the_repr() -> None:
    """The default belongs to the environment, not to the constructor, so you cannot forget a setting."""
    with pytest.raises(TypeError, match="colour"):
        Sample(password="abcd")

    shown = repr(Sample(colour=Colour.GREEN, password="abcd"))

    assert "abcd" not in shown
    assert "green" in shown
