"""`python -m jaxconv` is the `jaxconv` command."""

import sys

from jaxconv.cli import main

sys.exit(main())
