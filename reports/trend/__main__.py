"""`python -m reports.trend`."""

import sys

from reports.trend.command import main

if __name__ == "__main__":
    sys.exit(main())
