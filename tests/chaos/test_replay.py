"""Test that a replay finds what is wrong with the changes that a reader gets."""

from typing import Any

import pytest

from .ledger import Ledger
from .replay import Entry, Replay

Step = tuple[str, str, str]
"""An event, a key and a version."""

GOOD: list[Step] = [
    ("set", "a", "1"),
    ("set", "b", "2"),
    ("set", "a", "3"),
    ("delete", "a", "3"),
    ("set", "a", "4"),
    ("expire", "b", "2"),
]


def replayed(*steps: Step, from_nothing: bool = True) -> Replay:
    replay = Replay(0.0, from_nothing=from_nothing)
    for event, key, version in steps:
        replay.apply(event, {"key": key, "version": version})
    return replay


def ledger() -> Ledger:
    """Return what the writers of `GOOD` know."""
    found = Ledger()
    found.wrote("a", "1", 1.0, None)
    found.wrote("b", "2", 2.0)
    found.wrote("a", "3", 3.0, "1")
    found.removes("a", "3", 4.0)
    found.wrote("a", "4", 5.0, None)
    return found


def faults(replay: Replay) -> list[str]:
    return list(replay.compare(ledger(), lambda _: True))


def test_right_changes_have_no_faults() -> None:
    replay = replayed(*GOOD)
    assert faults(replay) == []
    assert replay.difference({"a": Entry("4", None)}) == []


@pytest.mark.parametrize("missing", range(len(GOOD) - 1))
def test_a_missing_change_is_found(missing: int) -> None:
    assert faults(replayed(*GOOD[:missing], *GOOD[missing + 1 :]))


def test_a_missing_last_change_is_found() -> None:
    assert replayed(*GOOD[:-1]).difference({"a": Entry("4", None)})


@pytest.mark.parametrize("repeated", range(len(GOOD)))
def test_a_repeated_change_is_found(repeated: int) -> None:
    assert faults(replayed(*GOOD[: repeated + 1], *GOOD[repeated:]))


@pytest.mark.parametrize(("one", "other"), [(0, 2), (2, 3), (3, 4)])
def test_changes_of_a_key_in_another_order_are_found(one: int, other: int) -> None:
    steps = [*GOOD]
    steps[one], steps[other] = steps[other], steps[one]
    assert faults(replayed(*steps))


def test_changes_of_different_keys_may_come_in_any_order() -> None:
    assert faults(replayed(GOOD[1], GOOD[0], *GOOD[2:])) == []


def test_a_write_without_a_request_is_found() -> None:
    assert faults(replayed(*GOOD, ("set", "c", "5")))


def test_a_write_whose_outcome_is_unknown_may_come() -> None:
    known = ledger()
    known.may_have_written("c")
    replay = replayed(*GOOD, ("set", "c", "5"))
    assert list(replay.compare(known, lambda _: True)) == []


def test_a_touch_that_comes_twice_is_found() -> None:
    replay = replayed(*GOOD)
    touched: dict[str, Any] = {"key": "a", "version": "4", "expires_at": 10}
    replay.apply("touch", touched)
    assert faults(replay) == []
    replay.apply("touch", touched)
    assert faults(replay)


def test_the_value_of_another_version_is_found() -> None:
    known = ledger()
    known.wrote("c", "5", 6.0, None, "five")
    for value, is_right in (("five", True), ("four", False)):
        replay = replayed(*GOOD)
        replay.apply("set", {"key": "c", "version": "5", "value": value})
        assert (list(replay.compare(known, lambda _: True)) == []) is is_right


def test_increments_in_another_order_are_found() -> None:
    known = Ledger()
    for number, version in ((1, "1"), (2, "2")):
        known.wrote("n", version, float(number))
        known.counted("n", number, version)
    for order, is_right in ((("1", "2"), True), (("2", "1"), False)):
        replay = replayed(*(("set", "n", one) for one in order))
        assert (list(replay.compare(known, lambda _: True)) == []) is is_right


def test_a_deletion_by_prefix_ends_all_entries_below_it() -> None:
    replay = replayed(("set", "p/a", "1"), ("set", "q", "2"))
    replay.apply("delete_prefix", {"prefix": "p/"})
    assert replay.entries == {"q": Entry("2", None)}


def test_older_changes_may_follow_the_entries_that_a_reader_begins_with() -> None:
    steps = [("set", "a", "4"), ("delete", "a", "3"), ("set", "a", "4"), ("delete", "a", "4")]
    replay = replayed(*steps, from_nothing=False)
    replay.began = 5.0
    assert faults(replay) == []
    replay.apply("set", {"key": "a", "version": "4"})
    assert faults(replay)


def test_only_writes_from_the_beginning_of_a_reader_have_to_come() -> None:
    replay = replayed(("set", "b", "2"), ("set", "a", "4"), from_nothing=False)
    replay.began = 4.5
    assert faults(replay) == []


def test_a_counter_that_lost_or_repeated_an_increment_is_found() -> None:
    known = Ledger()
    for number in (1, 2, 3):
        known.counted("n", number, str(number))
    known.may_have_written("n")
    assert known.counter_faults("n", 2, exact=False)
    assert known.counter_faults("n", 3, exact=False) == []
    assert known.counter_faults("n", 4, exact=False) == []
    assert known.counter_faults("n", 4, exact=True)
    known.counted("n", 3, "4")
    assert known.counter_faults("n", 4, exact=False)


def test_values_that_were_taken_twice_or_are_gone_are_found() -> None:
    known = Ledger()
    for key in ("a", "b", "c"):
        known.produced.add((key, "1"))
    known.taken["a", "1"] += 1
    known.perhaps_taken.add("b")
    assert known.queue_faults({("c", "1")}) == []
    assert known.queue_faults(set())
    assert known.queue_faults({("a", "1"), ("c", "1")})
    known.taken["a", "1"] += 1
    assert known.queue_faults({("c", "1")})
