"""Test that the judge of the failover tests finds all faults, and no others."""

import math

from .history import NOTHING, Act, Counting, History, Refused


def test_what_one_copy_could_have_done_has_no_fault() -> None:
    assert faults(write("a", 1, 2), read("a", 3, 4), write("b", 5, 8), read("a", 6, 7)) == []
    assert faults(write("a", 1, 4), write("b", 2, 3), read("b", 5, 6), read("b", 7, 8)) == []
    assert faults(write("a", 1, 4), write("b", 2, 3), read("a", 5, 6)) == []


def test_a_write_without_an_answer_may_happen_at_any_later_time_or_never() -> None:
    assert faults(write("a", 1, math.inf), read(NOTHING, 2, 3), read("a", 4, 5)) == []
    assert faults(write("a", 1, math.inf), write("b", 2, 3), read("b", 4, 5)) == []
    assert faults(write("a", 1, math.inf), write("b", 2, 3), read("a", 4, 5)) == []


def test_a_read_of_what_was_overwritten_is_a_fault() -> None:
    assert faults(write("a", 1, 2), write("b", 3, 4), read("a", 5, 6)) != []
    assert faults(write("a", 1, 2), read(NOTHING, 3, 4)) != []


def test_a_read_that_goes_back_behind_another_read_is_a_fault() -> None:
    seen = [write("a", 1, 2), write("b", 3, 10), read("b", 4, 5)]
    assert faults(*seen, read("b", 6, 7)) == []
    assert faults(*seen, read("a", 6, 7)) != []


def test_a_read_of_a_value_before_its_write_is_a_fault() -> None:
    assert faults(read("a", 1, 2), write("a", 3, 4)) != []
    assert faults(read("a", 1, 2)) != []


def test_writes_after_the_one_that_was_read_last_are_lost() -> None:
    history = History()
    history.acts += [write("a", 1, 2), write("b", 3, 4), write("c", 5, 6), write("d", 7, math.inf)]
    history.acts.append(read("c", 8, 9))
    assert history.lost() == 0
    history.acts.append(read("a", 10, 11))
    assert history.lost() == 2
    history.acts.append(read(NOTHING, 12, 13))
    assert history.lost() == 3


def test_a_counter_has_every_increment_that_was_acknowledged() -> None:
    counting = counted("a", "b", "c")
    assert (counting.line(), counting.lost(), list(counting.faults())) == (["c", "b", "a"], 0, [])
    counting.acts[-1].value = "b"
    assert counting.lost() == 1
    assert list(counting.faults()) != []


def test_two_increments_of_the_same_count_are_a_fault() -> None:
    counting = counted("a", "b", "c")
    counting.before["c"] = "a"
    assert counting.lost() == 1


def test_a_refusal_is_a_fault_if_the_required_value_existed() -> None:
    counting = counted("a", "b")
    counting.refused.append(Refused("x", expected="a", ended=3.5))
    assert list(counting.faults()) == []
    counting.refused.append(Refused("y", expected="a", ended=2.5))
    assert list(counting.faults()) == ["y was refused although a was there"]
    counting.refused[-1] = Refused("z", expected="b", ended=9)
    assert list(counting.faults()) == ["z was refused although b was there"]
    counting.refused[-1] = Refused("b", expected="a", ended=9)
    assert list(counting.faults()) == ["b was refused and yet written"]


def faults(*acts: Act) -> list[str]:
    history = History()
    history.acts += acts
    return list(history.faults())


def write(value: str, began: float, ended: float) -> Act:
    return Act(value, began, ended, writes=True)


def read(value: str, began: float, ended: float) -> Act:
    return Act(value, began, ended)


def counted(*values: str) -> Counting:
    """Return acts that each extend the value before, at the times 1 to 2, 3 to 4 and so on."""
    counting = Counting()
    for number, value in enumerate(values):
        counting.before[value] = counting.acts[-1].value
        counting.acts.append(write(value, 2 * number + 1, 2 * number + 2))
    counting.acts.append(read(values[-1], 100, 101))
    return counting
