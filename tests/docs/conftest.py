"""The docs are a package of the repository, which `pytest` alone does not look for there."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
