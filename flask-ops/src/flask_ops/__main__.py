"""``python -m flask_ops``."""

import sys

from flask_ops.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
