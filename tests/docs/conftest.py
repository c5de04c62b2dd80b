"""Find the package `docs` of the repository, where `pytest` alone does not look."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
