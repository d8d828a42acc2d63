"""An application that does not use this library, laid out like the application of Flask's tutorial."""

from __future__ import annotations

import os

from flask import Flask

from tests.applications.journal import auth, blog, database, errors, odd

SECRET_KEY = "the secret key of the journal"


def create_app() -> Flask:
    app = Flask(__name__, instance_path=os.environ["JOURNAL_FOLDER"])
    app.config.from_mapping(SECRET_KEY=SECRET_KEY, DATABASE=os.path.join(app.instance_path, "journal.sqlite"))  # noqa: PTH118 - as the tutorial
    database.init_app(app)
    errors.init_app(app)
    app.register_blueprint(auth.blueprint)
    app.register_blueprint(blog.blueprint)
    app.add_url_rule("/", endpoint="index")
    app.register_blueprint(odd.blueprint)
    return app
