"""The process of an emulation in the background; see :mod:`topologies.emulator.background`."""

import sys

from topologies.emulator.background import main

sys.exit(main())
