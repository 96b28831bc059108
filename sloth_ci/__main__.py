"""`python -m sloth_ci` is `sci`."""

import sys

from sloth_ci.cli import main

sys.exit(main())
