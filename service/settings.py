"""The settings of this service, read from environment variables. To add a setting, add a field."""

import flask_ops

from service import __version__


class Settings(flask_ops.Settings, name="service", version=__version__):
    """The settings of ``flask_ops``, and the fields of this class.

    For example: ``database: str = setting("SERVICE_DATABASE", text(r".+", "a path"), help="The database.")``. Import
    ``setting`` from ``flask_ops``, and ``text`` from ``flask_ops.settings``. Without ``default=``, the setting is
    required.
    """
