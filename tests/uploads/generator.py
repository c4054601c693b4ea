"""A generator of large dirty CSV files whose every fault is known."""

import random
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BAD_KINDS = ("ragged_short", "ragged_long", "invalid_encoding", "nul_byte", "unterminated_quote")
_ODD_KINDS = ("embedded_newline", "doubled_quotes", "inch_mark", "blank_line", "empty_values")
_NAMES = ("Zoë Ångström", "Łukasz Wójcik", "José Peña", "Søren Dahl", "Anna Müller", "山田太郎", "Renée Côté")
_WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett")
_CHUNK = 20_000
_POOL = 40_000


@dataclass(frozen=True)
class Truth:
    """What an import of the file must find: good rows, and (physical line, code) of each reject."""

    good_rows: int
    rejects: list[tuple[int, str]]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"rejects": [list(reject) for reject in self.rejects], "codes": self.codes()}

    def codes(self) -> dict[str, int]:
        """How many rejects of each code."""
        return dict(Counter(code for _, code in self.rejects))


def write_dirty_csv(
    path: Path, rows: int, *, bad_share: float = 0.01, seed: int = 0, columns: int = 12, type_errors: bool = False
) -> Truth:
    """Write `rows` records under a header, a `bad_share` of them bad and as many odd but good.

    `columns` is at least 6: id, quantity, price, active, day, name, then text. With `type_errors`, some
    bad rows hold "N/A" as their quantity, which is a fault only if quantity is declared an integer.
    """
    draw = random.Random(seed)
    tails = [_tail(draw, columns) for _ in range(min(_POOL, rows) or 1)]
    kinds = BAD_KINDS + (("type_error",) if type_errors else ())
    line, good, rejects = 2, 0, []
    with path.open("wb") as file:
        file.write((",".join(header(columns)) + "\n").encode())
        for first in range(0, rows, _CHUNK):
            pieces = []
            for number in range(first, min(first + _CHUNK, rows)):
                chance = draw.random()
                tail = tails[number % len(tails)] if number < _POOL else tails[int(chance * 1e9) % len(tails)]
                if chance >= 2 * bad_share:
                    pieces.append(b"%d%b\n" % (number, tail))
                    line, good = line + 1, good + 1
                elif chance < bad_share:
                    kind = draw.choice(kinds)
                    rejects.append((line, kind))
                    pieces.append(_bad(kind, number, tail))
                    line += 1
                else:
                    odd = _odd(draw.choice(_ODD_KINDS), number, tail)
                    pieces.append(odd)
                    line, good = line + odd.count(b"\n"), good + 1
            file.write(b"".join(pieces))
    return Truth(good, rejects)


def header(columns: int) -> list[str]:
    """The column names of a generated file."""
    return ["id", "quantity", "price", "active", "day", "name", *(f"text_{n}" for n in range(1, columns - 5))]


def column_types(columns: int) -> dict[str, str]:
    """The true types of a generated file's columns."""
    known = dict(id="integer", quantity="integer", price="number", active="boolean", day="date")
    return {name: known.get(name, "string") for name in header(columns)}


def _tail(draw: random.Random, columns: int) -> bytes:
    """Everything after the id, with the comma before it."""
    fixed = [
        str(draw.randint(0, 9999)),
        f"{draw.uniform(0, 1000):.2f}",
        draw.choice(("true", "false")),
        f"20{draw.randint(10, 29)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}",
        draw.choice(_NAMES),
    ]
    text = [f"{draw.choice(_WORDS)}{draw.randint(0, 99999):05}" for _ in range(columns - 6)]
    return ("," + ",".join(fixed + text)).encode()


def _bad(kind: str, number: int, tail: bytes) -> bytes:
    cells = tail.split(b",")
    if kind == "ragged_short":
        cells.pop()
    elif kind == "ragged_long":
        cells.append(b"surplus")
    elif kind == "invalid_encoding":
        cells[5] = b"Zo\xeb \xff"
    elif kind == "nul_byte":
        cells[5] = b"Zo\x00e"
    elif kind == "unterminated_quote":
        cells[5] = b'"Zo\xc3\xab never ends'
    elif kind == "type_error":
        cells[1] = b"N/A"
    return b"%d%b\n" % (number, b",".join(cells))


def _odd(kind: str, number: int, tail: bytes) -> bytes:
    cells = tail.split(b",")
    if kind == "embedded_newline":
        cells[5] = b'"first line\nsecond, line\r\n third"'
    elif kind == "doubled_quotes":
        cells[5] = b'"She said ""yes, please"""'
    elif kind == "inch_mark":
        cells[5] = b'a 5" pipe'
    elif kind == "empty_values":
        cells[2], cells[5] = b"", b'""'
    blank = b"\n" if kind == "blank_line" else b""
    return b"%b%d%b\n" % (blank, number, b",".join(cells))
