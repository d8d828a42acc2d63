"""``python -m service``: serve, or check a deployment before and after it."""

import sys

import flask_ops

from service.settings import Settings

if __name__ == "__main__":
    sys.exit(flask_ops.main(prog="python -m service", settings=Settings, application="service.app:create_app()"))
