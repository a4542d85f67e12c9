"""``python -m minighost`` is the command `minighost`."""

import sys

from minighost.cli.main import main

sys.exit(main())
