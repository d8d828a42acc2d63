from __future__ import annotations

import sqlite3

from flask import Blueprint, abort, g, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from tests.applications.journal.auth import login_required
from tests.applications.journal.database import connection

blueprint = Blueprint("blog", __name__)


@blueprint.route("/", endpoint="index")
def index() -> str:
    entries = connection().execute("SELECT * FROM entry ORDER BY id").fetchall()
    return render_template("index.html", entries=entries)


@blueprint.route("/create", methods=["GET", "POST"])
@login_required
def create() -> str | Response:
    if request.method == "GET":
        return render_template("form.html", title="New entry", fields=["title", "body"])
    with connection() as database:
        database.execute(
            "INSERT INTO entry (author_id, title, body) VALUES (?, ?, ?)",
            (g.author["id"], request.form["title"], request.form["body"]),
        )
    return redirect(url_for("blog.index"))


@blueprint.route("/<int:number>/update", methods=["GET", "POST"])
@login_required
def update(number: int) -> str | Response:
    _entry(number)
    if request.method == "GET":
        return render_template("form.html", title="Edit", fields=["title", "body"])
    with connection() as database:
        database.execute(
            "UPDATE entry SET title = ?, body = ? WHERE id = ?", (request.form["title"], request.form["body"], number)
        )
    return redirect(url_for("blog.index"))


@blueprint.post("/<int:number>/delete")
@login_required
def delete(number: int) -> Response:
    _entry(number)
    with connection() as database:
        database.execute("DELETE FROM entry WHERE id = ?", (number,))
    return redirect(url_for("blog.index"))


@blueprint.get("/<int:number>.json")
def as_json(number: int) -> Response:
    return jsonify({"title": _entry(number)["title"], "author": _entry(number)["author_id"]})


def _entry(number: int) -> sqlite3.Row:
    found: sqlite3.Row | None = connection().execute("SELECT * FROM entry WHERE id = ?", (number,)).fetchone()
    if found is None:
        abort(404, f"There is no entry {number}.")
    return found
