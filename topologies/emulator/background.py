"""An emulation in a process of its own: ``python -m topologies.emulator.background FD OPTIONS``."""

import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
