"""Test generated keys and values: each comes back as it was, on each kind of store."""

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from workertown_kv import Client

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50),
    st.lists(st.sampled_from(["..", ".", "", "a", "%2F", "?", "#", "é", " "]), min_size=2).map(
        "/".join
    ),
)
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.binary(),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | TEXT,
        lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
        max_leaves=10,
    ),
)


@settings(
    max_examples=max(5, settings().max_examples // 5),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(KEYS, VALUES)
@example("..", {"a": {"": 2**70}})
@example("/", [1e308, -0.0, 5e-324])
def test_any_value_comes_back_under_any_key(store: Client, key: str, value: Any) -> None:
    store[key] = value
    assert store[key] == value
    assert key in store
    (entry,) = store.list(key, values=True)
    assert (entry.key, entry.value) == (key, value)
    with store.batch() as batch:
        taken = batch.take(key)
        missing = batch.get(key)
    assert (taken.result(), missing.result()) == (value, None)
