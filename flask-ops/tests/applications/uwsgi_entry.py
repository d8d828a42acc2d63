"""The module that our uWSGI entry point loads for an application, by default the shop."""

import os

from flask_ops.uwsgi import load

application = load(os.environ.get("APPLICATION", "tests.applications.shop:app"))
