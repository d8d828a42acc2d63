"""The settings of this service, which are environment variables. To add one, add a field."""

import flask_ops
from service import __version__


class Settings(flask_ops.Settings, name="service", version=__version__):
    """The settings of ``flask_ops`` and of this service.

    A setting of your own: ``database: str = setting("SERVICE_DATABASE", text(r".+", "a path"), help="The database.")``,
    with ``setting`` and ``text`` from ``flask_ops.settings``. Without ``default=`` it is required.
    """
