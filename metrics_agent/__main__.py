"""``python -m metrics_agent``."""

import sys

from metrics_agent.main import main

if __name__ == "__main__":
    sys.exit(main())
