"""Records are processed together; again where others changed them meanwhile; each alone where something fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from django.db import transaction

from .batches import NOT_OURS, Alone, Batch, Outcome, reason_of
from .sources import Taken
from .writing import Stale

#: How often others may come in between.
_TRIES = 3

Make = Callable[[], Batch]
Again = Callable[[Sequence[str]], Taken]


def attempt(make: Make, taken: Taken, deadline: float, again: Again) -> Outcome:
    """Within a transaction: what came of the records, or of the first of them where it takes too long.

    `make` gives a new batch, `again` the records of some keys as they are now.
    """
    keys = taken.keys
    for _ in range(_TRIES):
        if not len(taken):
            return Outcome(processed=len(keys), last=keys[-1])
        try:
            with transaction.atomic():
                return make().run(taken, deadline)
        except NOT_OURS:
            raise
        except Stale:
            taken = again(keys)
        except Exception:  # of some record; which one, and why, each says for itself
            break
    return _one_by_one(make, keys, deadline, again)


def _one_by_one(make: Make, keys: Sequence[str], deadline: float, again: Again) -> Outcome:
    total = Outcome()
    for key in keys:
        total.add(_alone(make, key, deadline, again))
        if time.monotonic() > deadline:
            break
    return total


def _alone(make: Make, key: str, deadline: float, again: Again) -> Outcome:
    error: Exception = RuntimeError("It was not tried.")
    for _ in range(_TRIES):
        taken = again([key])
        if not len(taken):
            return Outcome(processed=1, last=key)
        try:
            with transaction.atomic():
                return make().run(taken, deadline)
        except NOT_OURS:
            raise
        except Stale as stale:
            error = stale
        except Alone as alone:
            error = alone.__cause__ if isinstance(alone.__cause__, Exception) else alone
            break
        except Exception as other:
            error = other
            break
    return Outcome(processed=1, last=key, rejects=[(key, *reason_of(error))])
