"""Define the options of `audit`."""

from collections.abc import Callable
from typing import Any

from .group import NO_SECRET, Group, SecretOption


class AuditEnv(Group, frozen=True):
    """The environment variables of the audit log."""

    path: str = "KV_AUDIT"
    """The variable that holds the path of the audit log."""
    hash_secret: str = "KV_AUDIT_HASH_SECRET"  # noqa: S105  (the name of a variable)
    """The variable that holds the secret with which keys are hashed."""


class AuditOptions(Group, frozen=True):
    """Writes who did what to which key, if there is a path or a function."""

    path: str | None = None
    """The file to which lines of JSON are added, or `-` for standard error; by default, it comes
    from the environment."""
    function: Callable[[dict[str, Any]], Any] | None = None
    """Called with each line as a mapping, instead of writing it."""
    hash_secret: SecretOption = NO_SECRET
    """The secret for hashes of keys (HMAC with SHA-256), which then replace the keys; by default,
    it comes from the environment."""
    reads: bool = False
    """Whether reads are written too."""
    env: AuditEnv = AuditEnv()

    def check(self) -> None:
        self.check_not_async("function")
        if self.path is not None and self.function is not None:
            raise ValueError("path is given together with function; expected only one of them")
        if self.path == "":
            raise ValueError("path is empty; expected the path of a file, or - for standard error")
