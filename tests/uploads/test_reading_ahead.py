"""The next batch is made while the last one is written, and nobody can tell but by the clock."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from uploads.reading_ahead import one_ahead


class Made:
    """Numbers that tell which of them are made, and in which thread."""

    def __init__(self, breaks_at: int = -1) -> None:
        self.breaks_at = breaks_at
        self.count, self.is_closed = 0, False
        self.threads: set[int] = set()
        self.third = threading.Event()

    def numbers(self) -> Generator[int, None, None]:
        try:
            for number in range(4):
                self.threads.add(threading.get_ident())
                if number == self.breaks_at:
                    raise ValueError(number)
                self.count += 1
                if number == 2:
                    self.third.set()
                yield number
        finally:
            self.is_closed = True


def test_the_items_come_in_order_from_one_other_thread() -> None:
    made = Made()
    with one_ahead(made.numbers()) as numbers:
        assert list(numbers) == [0, 1, 2, 3]
    assert len(made.threads) == 1
    assert threading.get_ident() not in made.threads
    assert made.is_closed


def test_one_is_made_ahead_and_not_two() -> None:
    made = Made()
    with one_ahead(made.numbers()) as numbers:
        assert [next(numbers), next(numbers)] == [0, 1]
        assert made.third.wait(60)
        assert not made.is_closed
    assert (made.count, made.is_closed) == (3, True)


def test_an_error_comes_where_its_item_would_have_come() -> None:
    made = Made(breaks_at=2)
    with one_ahead(made.numbers()) as numbers:
        assert [next(numbers), next(numbers)] == [0, 1]
        with pytest.raises(ValueError, match="2"):
            next(numbers)
    assert made.is_closed


def test_an_error_of_the_caller_closes_what_is_read() -> None:
    made = Made()

    def break_off() -> None:
        with one_ahead(made.numbers()) as numbers:
            raise KeyError(next(numbers))

    with pytest.raises(KeyError):
        break_off()
    assert made.is_closed
    assert not any(thread.name.startswith("one-ahead") for thread in threading.enumerate())


def test_nothing_is_made_before_it_is_asked_for() -> None:
    made = Made()
    with one_ahead(made.numbers()):
        pass
    assert made.count == 0
