"""Check that a new credential permits nothing that the user who makes it may not do."""

from ..errors import Forbidden
from ..user import Scope, User, Verb


def check_grant(user: User, scopes: tuple[Scope, ...] | None, expires_at: float | None) -> None:
    """Raise `Forbidden` unless the user may do all that these scopes permit, for as long."""
    if user.scopes is not None:
        if scopes is None:
            raise Forbidden(
                "Out of scope: without scopes a key permits everything, and you may not do "
                "everything; expected scopes that permit no more than yours"
            )
        for scope in scopes:
            _check_scope(user.scopes, scope)
    latest = user.expiry()
    if latest is not None and (expires_at is None or expires_at > latest):
        raise Forbidden(
            f"Your own credential expires at {latest}; expected a key whose expires_at is not later"
        )


def _check_scope(own: tuple[Scope, ...], wanted: Scope) -> None:
    for verb in sorted(set(wanted.verbs)):
        for prefix in wanted.prefixes:
            if not _covers(own, verb, prefix, wanted.namespaces):
                raise Forbidden(f"Out of scope: you may not grant {_described(verb, prefix)}")


def _covers(
    own: tuple[Scope, ...], verb: Verb, prefix: str, namespaces: tuple[str, ...] | None
) -> bool:
    """Return whether the scopes permit the verb on all keys with the prefix in the namespaces."""
    covered: set[str] = set()
    for scope in own:
        if verb in scope.verbs and prefix.startswith(scope.prefixes):
            if scope.namespaces is None:
                return True
            covered.update(scope.namespaces)
    return namespaces is not None and covered.issuperset(namespaces)


def _described(verb: Verb, prefix: str) -> str:
    if verb == "admin":
        return "the verb admin"
    keys = f"keys that begin with {prefix[:100]!r}" if prefix else "all keys"
    return f"the verb {verb} on {keys} in all namespaces of this scope"
