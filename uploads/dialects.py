"""Which character separates the values: judged over the records of a file's head."""

from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np

from uploads.records import scan
from uploads.refusals import Refusal

CANDIDATES = (",", ";", "\t", "|")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_NEAR = 0.9


@dataclass(frozen=True)
class Candidate:
    """A delimiter, the columns that the deciding record then has, and the share of records that agree."""

    delimiter: str
    columns: int
    share: float


def choose_delimiter(units: bytes, quote: str, *, at_end: bool, has_header: bool, prefers_tab: bool) -> str:
    """The delimiter of a head; a file in which none occurs has one column.

    The header decides the number of columns, so a ragged row in the sample changes nothing.
    Raises Refusal `dialect_ambiguous` with the candidates, best first.
    """
    judged = [judge(units, mark, quote, at_end=at_end, has_header=has_header) for mark in CANDIDATES]
    usable = [candidate for candidate in judged if candidate.columns > 1]
    if not usable:
        return "\t" if prefers_tab else ","
    floor = _NEAR * max(candidate.share for candidate in usable)
    ranked = sorted(usable, key=lambda c: (c.share >= floor, c.columns, c.share), reverse=True)
    by_mark = {candidate.delimiter: candidate for candidate in usable}
    if prefers_tab:
        if "\t" not in by_mark:
            raise _ambiguous(
                f"The file is named as tab-separated, but a {_name(ranked[0])} separates its values", ranked
            )
        return "\t"
    rivals = [candidate for candidate in ranked[1:] if candidate.share >= floor]
    if rivals and rivals[0].columns * 2 > ranked[0].columns:
        raise _ambiguous(f"Both {_name(ranked[0])} and {_name(rivals[0])} could separate the values", ranked)
    return ranked[0].delimiter


def width_below(units: bytes, quote: str, delimiter: str, names: int, *, at_end: bool) -> Candidate | None:
    """How most records are wide, where the first one, which names the columns, is another width."""
    marks = CANDIDATES if names == 1 else (delimiter,)  # of a title nobody can tell the delimiter
    judged = [judge(units, mark, quote, at_end=at_end, has_header=False) for mark in marks]
    best = max(judged, key=lambda candidate: (candidate.columns > 1, candidate.share))
    return best if best.columns > 1 and best.columns != names and best.share > 0.5 else None


def judge(units: bytes, delimiter: str, quote: str, *, at_end: bool, has_header: bool = True) -> Candidate:
    """How well one delimiter explains the head."""
    fields = scan(units, delimiter, quote, at_end=at_end).fields
    fields = fields[fields != 0]
    if not len(fields):
        return Candidate(delimiter, 0, 0.0)
    columns = int(fields[0]) if has_header else Counter(fields.tolist()).most_common(1)[0][0]
    return Candidate(delimiter, max(columns, 0), round(float(np.mean(fields == columns)), 4))


def _name(candidate: Candidate) -> str:
    return NAMES[candidate.delimiter]


def _ambiguous(reason: str, ranked: list[Candidate]) -> Refusal:
    return Refusal("dialect_ambiguous", f"{reason}; name the delimiter.", [asdict(candidate) for candidate in ranked])
