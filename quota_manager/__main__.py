"""``python -m quota_manager``."""

import sys

from quota_manager.main import main

if __name__ == "__main__":
    sys.exit(main())
