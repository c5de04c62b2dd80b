"""Tell how deep the tests of this run go."""

from typing import Final

from hypothesis import settings

IS_DEEP: Final = settings.get_current_profile_name() == "all"
"""Whether this is a run of `make test-all`; others send less, and try fewer cases."""
