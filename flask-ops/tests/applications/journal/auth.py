from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, session, url_for
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.wrappers import Response

from tests.applications.journal.database import connection

blueprint = Blueprint("auth", __name__, url_prefix="/auth")


@blueprint.before_app_request
def load_author() -> None:
    known = session.get("author_id")
    g.author = None
    if known is not None:
        g.author = connection().execute("SELECT * FROM author WHERE id = ?", (known,)).fetchone()


def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(view)
    def wrapped(**arguments: Any) -> Any:
        return redirect(url_for("auth.login")) if g.author is None else view(**arguments)

    return wrapped


@blueprint.route("/register", methods=["GET", "POST"])
def register() -> str | Response:
    if request.method == "GET":
        return render_template("form.html", title="Register", fields=["name", "password"])
    try:
        with connection() as database:
            database.execute(
                "INSERT INTO author (name, password) VALUES (?, ?)",
                (request.form["name"], generate_password_hash(request.form["password"], "pbkdf2:sha256:1")),
            )
    except sqlite3.IntegrityError:
        flash("This name is taken.")
        return render_template("form.html", title="Register", fields=["name", "password"])
    return redirect(url_for("auth.login"))


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> str | Response:
    if request.method == "POST":
        found = connection().execute("SELECT * FROM author WHERE name = ?", (request.form["name"],)).fetchone()
        if found is not None and check_password_hash(found["password"], request.form["password"]):
            session.clear()
            session["author_id"] = found["id"]
            return redirect(url_for("index"))
        flash("Wrong name or password.")
    return render_template("form.html", title="Log in", fields=["name", "password"])


@blueprint.route("/logout")
def logout() -> Response:
    session.clear()
    return redirect(url_for("index"))
