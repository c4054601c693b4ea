"""Making the next thing while the last one is being used, so that both processors of a small machine have work."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def one_ahead(items: Generator[Item, None, None]) -> Iterator[Iterator[Item]]:
    """The items in their order, each made in a thread while the caller has the one before it.

    What `items` raises reaches the caller where the item would have come. It must not use the database, as the thread
    would keep a connection of its own; it is closed when the block ends, after at most one more item.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="one-ahead") as pool:
        try:
            yield _each(items, pool)
        finally:
            pool.shutdown()
            items.close()


def _each(items: Iterator[Item], pool: ThreadPoolExecutor) -> Iterator[Item]:
    upcoming: Future[Item | None] = pool.submit(next, items, None)
    while (item := upcoming.result()) is not None:
        upcoming = pool.submit(next, items, None)
        yield item
