"""Where records begin and end in a run of delimited text: the grammar, once, for cutting and for parsing.

The text is given as *units*: one byte per code unit (see `encodings.as_units`), so that UTF-16 and
ASCII-compatible encodings share one scanner.

The grammar
-----------
* A physical line ends after LF, CRLF or a lone CR. A blank line is no record.
* A quote opens a quoted field only as the field's first unit; elsewhere it is an ordinary character.
* Inside quotes everything is data, a doubled quote is one quote. After the closing quote only a
  delimiter, a line end or the end of the file may follow.
* A record ends at the first line end outside quotes. It is at most `MAX_RECORD` units long.

A record that breaks these rules (its quote is not closed within `MAX_RECORD` units or before the end
of the file, or text follows a closing quote) is MALFORMED. So is a record over several lines whose
number of fields is wrong while a line wholly inside it has the right number: a stray quote has
swallowed rows. A malformed record is its first physical line alone; the next record starts at the
next physical line. A physical line longer than `MAX_RECORD` is TOO_LONG, whatever it contains.

Each decision depends only on the text from the record's start, never on where a buffer ends: a
buffer that ends too early leaves the record undecided instead.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

MAX_RECORD = 2**20
BLANK, MALFORMED, TOO_LONG = 0, -1, -2
LF, CR = 10, 13


@dataclass(frozen=True)
class Records:
    """The decided records of a text, each array of shape (records,), in order.

    `starts` and `stops` are unit offsets (a stop includes the line end), `lines` the index of the
    physical line on which the record starts, `fields` its number of fields, or BLANK, MALFORMED,
    TOO_LONG, and `next_lines` the line index after its last line. `consumed` units in `consumed_lines`
    physical lines are decided; what follows needs more text.
    """

    starts: Ints
    stops: Ints
    lines: Ints
    fields: Ints
    next_lines: Ints
    consumed: int
    consumed_lines: int

    def first(self, count: int) -> "Records":
        """The first `count` records, at least one."""
        return Records(
            self.starts[:count],
            self.stops[:count],
            self.lines[:count],
            self.fields[:count],
            self.next_lines[:count],
            consumed=int(self.stops[count - 1]),
            consumed_lines=int(self.next_lines[count - 1]),
        )


class Walked(NamedTuple):
    """One record read exactly: where its content ends, how many fields were complete, and whether it is whole."""

    stop: int
    fields: int
    whole: bool


def scan(units: bytes, delimiter: str, quote: str, *, at_end: bool, columns: int = 0) -> Records:
    """Split `units`, which begin at a record border, into records.

    `at_end` says that nothing follows. `columns`, if known, is the number of fields expected.
    Vectorised over physical lines; only lines with unusual quotes are walked one by one.
    """
    data = np.frombuffer(units, np.uint8)
    ends = line_ends(data, at_end)
    starts = np.concatenate((np.zeros(min(1, len(ends)), np.int64), ends[:-1]))
    fields, special = _classify(data, starts, ends, ord(delimiter), ord(quote))
    lines = _Lines(starts, ends, fields, np.arange(len(ends), dtype=np.int64), columns)
    decided = len(ends)
    for line in special.tolist():
        if not lines.is_record(line):
            continue
        record = walk(units, int(starts[line]), delimiter, quote, at_end=at_end)
        if record is None or not lines.settle(line, record, at_end):
            decided = line
            break
    return lines.records(decided)


def line_ends(data: npt.NDArray[np.uint8], at_end: bool) -> Ints:
    """Unit offsets just after each complete physical line of `data`, shape (lines,)."""
    ends = np.flatnonzero(data == LF) + 1
    returns = np.flatnonzero(data == CR)
    if len(returns):
        known = returns[returns + 1 < len(data)]
        ends = np.sort(np.concatenate((ends, known[data[known + 1] != LF] + 1)))
    if at_end and len(data) and (not len(ends) or ends[-1] != len(data)):
        ends = np.append(ends, len(data))
    return ends.astype(np.int64, copy=False)


def walk(units: bytes, start: int, delimiter: str, quote: str, *, at_end: bool) -> Walked | None:
    """Read one record from `start` by the grammar; None when `units` end before it is decided."""
    field = _field_pattern(delimiter, quote)
    high = min(len(units), start + MAX_RECORD)
    position, fields = start, 0
    while match := field.match(units, position, high):
        position, fields = match.end(), fields + 1
        if position == high or units[position] != ord(delimiter):
            break
        position += 1
    if match is None or position == high:
        if high == len(units) and not at_end:
            return None
        return Walked(position, fields, match is not None and high == len(units))
    if units[position] in (LF, CR):
        return Walked(position, fields, True)
    return Walked(position, fields - 1, False)


def split(text: str, delimiter: str, quote: str) -> list[str]:
    """The values of one whole record, without its line end."""
    units, mark = text.encode(), quote.encode()
    values, position = [], 0
    while match := _field_pattern(delimiter, quote).match(units, position):
        field, position = match[0], match.end() + 1
        values.append(field[1:-1].replace(mark * 2, mark) if field.startswith(mark) else field)
        if position > len(units):
            break
    return [value.decode() for value in values]


@lru_cache(maxsize=32)
def _field_pattern(delimiter: str, quote: str) -> re.Pattern[bytes]:
    mark, comma = re.escape(quote), re.escape(delimiter)
    return re.compile(
        rf"{mark}[^{mark}]*+(?:{mark}{mark}[^{mark}]*+)*+{mark}|(?!{mark})[^{comma}\r\n]*+".encode("ascii")
    )


def _classify(data: npt.NDArray[np.uint8], starts: Ints, ends: Ints, delimiter: int, quote: int) -> tuple[Ints, Ints]:
    """Count the fields of every line as if it were a record; list the lines where that may be wrong."""
    delimiters = np.flatnonzero(data == delimiter)
    quotes = np.flatnonzero(data == quote)
    special = np.empty(0, np.int64)
    fields = np.diff(np.searchsorted(delimiters, ends), prepend=0) + 1
    if len(quotes) and len(ends):
        quotes = quotes[quotes < ends[-1]]
        line = np.searchsorted(ends, quotes, side="right")
        special = _unusual_lines(data, starts, quotes, line, delimiter, quote)
        fields -= _quoted_delimiters(delimiters, quotes, line, special, len(ends))
    first = data[starts]
    fields[(first == LF) | (first == CR)] = BLANK
    fields[ends - starts > MAX_RECORD] = TOO_LONG
    return fields, special


def _quoted_delimiters(delimiters: Ints, quotes: Ints, line: Ints, special: Ints, lines: int) -> Ints:
    """How many delimiters of each usual line stand within quotes, where every second quote closes what one opened."""
    is_special = np.zeros(lines, np.bool_)
    is_special[special] = True
    usual = ~is_special[line]
    places = np.searchsorted(delimiters, quotes[usual])
    inside = places[1::2] - places[::2]
    return np.bincount(line[usual][::2], weights=inside, minlength=lines).astype(np.int64)


def _unusual_lines(
    data: npt.NDArray[np.uint8], starts: Ints, quotes: Ints, line: Ints, delimiter: int, quote: int
) -> Ints:
    """Lines whose quotes do not simply open at a field's start and close at its end."""
    counts = np.bincount(line, minlength=len(starts))
    ordinal = np.arange(len(quotes)) - (np.cumsum(counts) - counts)[line]
    opening = ordinal & 1 == 0
    before = data[np.maximum(quotes - 1, 0)]
    after = data[np.minimum(quotes + 1, len(data) - 1)]
    opens_well = (quotes == starts[line]) | (before == delimiter) | ((before == quote) & (ordinal > 0))
    closes_well = np.isin(after, (delimiter, quote, LF, CR)) | (quotes == len(data) - 1)
    badly_placed = np.where(opening, ~opens_well, ~closes_well)
    return np.union1d(line[badly_placed], np.flatnonzero(counts & 1)).astype(np.int64)


@dataclass
class _Lines:
    """The physical lines while records are made of them; arrays of shape (lines,).

    `fields` counts each line's fields, `last` is the last line of the record that starts there.
    """

    starts: Ints
    ends: Ints
    fields: Ints
    last: Ints
    columns: int
    free: int = 0

    def is_record(self, line: int) -> bool:
        return line >= self.free and self.fields[line] != TOO_LONG

    def settle(self, line: int, record: Walked, at_end: bool) -> bool:
        """Enter what was read from `line` on; False if the record's last line is not complete yet."""
        final = int(np.searchsorted(self.ends, record.stop, side="right"))
        if at_end:
            final = min(final, len(self.ends) - 1)
        if record.whole and final == len(self.ends):
            return False
        if record.whole and not self._breaks_off(line, final, record.fields):
            self.fields[line], self.last[line], self.free = record.fields, final, final + 1
        else:
            self.fields[line], self.free = MALFORMED, line + 1
        return True

    def _breaks_off(self, line: int, final: int, fields: int) -> bool:
        too_long = self.ends[final] - self.starts[line] > MAX_RECORD
        inside = self.fields[line + 1 : final]
        return bool(too_long or (fields != self.columns and np.any(inside == self.columns)))

    def records(self, decided: int) -> Records:
        """The records that start on the first `decided` lines."""
        joined = np.flatnonzero(self.last[:decided] > np.arange(decided))
        depth = np.zeros(decided + 1, np.int64)
        np.add.at(depth, joined + 1, 1)
        np.subtract.at(depth, self.last[joined] + 1, 1)
        lines = np.flatnonzero(np.cumsum(depth[:decided]) == 0)
        stops = self.ends[self.last[lines]]
        after = self.last[lines] + 1
        consumed, consumed_lines = (int(stops[-1]), int(after[-1])) if len(lines) else (0, 0)
        return Records(self.starts[lines], stops, lines, self.fields[lines], after, consumed, consumed_lines)
