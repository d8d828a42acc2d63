"""``make name NAME=orders``: rename the service in every file that contains its name.

You can run it again with another name. It needs only the standard library, and no git. It changes only the files that
``places.py`` lists.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from places import CHANGELOG, ROLES, UNITS
from role import replace
from valid_name import RULE, refusal

ROOT = Path(__file__).resolve().parent.parent
REFUSED = 2
USAGE = f"""Usage: make name NAME=orders

NAME: {RULE}.
It must be valid as a distribution, an image, a DNS label of Kubernetes (RFC 1123, RFC 1035), a unit of systemd
and SERVICE_NAME."""
NEXT = """
Unchanged: the Python package service/, metrics service_*, settings SERVICE_*, CHANGELOG.md, LICENSE and the lock files.
Next:
  git diff      shows the changes
  make test
  make lock     puts the new name into the comments of the lock files
A running deployment keeps its old name. Remove its unit, containers or Kubernetes objects when the new ones serve."""


class RefusedError(Exception):
    """The service cannot have this name. The message gives the reason."""


@dataclass
class Plan:
    """The changes that a name needs, as paths relative to the repository."""

    old: dict[str, str] = field(default_factory=dict)
    """The current name by role, for the roles that change."""
    texts: dict[Path, str] = field(default_factory=dict)
    """The new content of each changed file."""
    moves: dict[Path, Path] = field(default_factory=dict)


def plan(root: Path, name: str) -> Plan:
    """Return the changes for ``name`` without making them. Raises RefusedError if the name is invalid."""
    reason = refusal(name, root)
    if reason:
        raise RefusedError(f"{name!r} is not a valid name: {reason}.\nExpected: {RULE}.")
    made = Plan()
    for role in ROLES:
        old = role.current(root)
        if old is None or old == name:
            continue
        made.old[role.title] = old
        for path, patterns in role.files(root):
            if path.name == CHANGELOG:
                continue
            relative = path.relative_to(root)
            before = made.texts.get(relative) or path.read_text("utf-8")
            after = replace(before, patterns, old, name)
            if after != before:
                made.texts[relative] = after
            if path.match(UNITS) and path.stem == old:
                made.moves[relative] = relative.with_stem(name)
    for target in made.moves.values():
        if (root / target).exists():
            raise RefusedError(f"{target} exists already, and the unit of the service would get this name.")
    return made


def apply(root: Path, made: Plan) -> None:
    """Write the planned changes. Keep the line ends."""
    for path, text in made.texts.items():
        windows = b"\r\n" in (root / path).read_bytes()
        (root / path).write_text(text, "utf-8", newline="\r\n" if windows else "\n")
    for path, target in made.moves.items():
        (root / path).rename(root / target)


def main(arguments: list[str]) -> int:
    """Return 0, or 2 if the name is missing or refused. In that case nothing is changed."""
    if len(arguments) != 1:
        print(USAGE, file=sys.stderr)
        return REFUSED
    (name,) = arguments
    try:
        made = plan(ROOT, name)
    except RefusedError as error:
        print(error, file=sys.stderr)
        return REFUSED
    apply(ROOT, made)
    if not made.texts:
        print(f"The service is called {name} already. No file was changed.")
        return 0
    for role, old in made.old.items():
        print(f"{role + ':':20} {old} -> {name}")
    print(f"\n{len(made.texts)} files changed:")
    for path in sorted(made.texts):
        print(f"  {path}" + (f" -> {made.moves[path]}" if path in made.moves else ""))
    print(NEXT)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
