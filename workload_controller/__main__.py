"""``python -m workload_controller``."""

import sys

from workload_controller.main import main

if __name__ == "__main__":
    sys.exit(main())
