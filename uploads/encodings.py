"""Which characters a file is written in, and its code units as single bytes."""

import codecs
from dataclasses import dataclass

import numpy as np

from uploads.refusals import Refusal

_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_SUPPORTED = ("utf-8", "utf-16-", "ascii", "cp", "iso8859", "latin", "koi8", "mac", "gb", "big5", "shift_jis", "euc")
# Other Latin code pages cannot be told from cp1252 by a few accents: that guess stays with the person.
_NOT_LATIN = ("cp1251", "koi8_r", "cp1253")
_FALLBACK = "cp1252"


@dataclass(frozen=True)
class Encoding:
    """A codec name, the bytes of the byte order mark to skip, and what had to be assumed ("" if nothing)."""

    name: str
    bom: int = 0
    warning: str = ""


def unit_width(encoding: str) -> int:
    """Bytes of one code unit: 2 for UTF-16, else 1."""
    return 2 if encoding.startswith("utf-16") else 1


def as_units(data: bytes, encoding: str) -> bytes:
    """One byte per code unit, ASCII as it is, so that the record scanner reads every encoding alike.

    UTF-16 units beyond ASCII become 0x80, as does an odd last byte.
    """
    if unit_width(encoding) == 1:
        return data
    order = "<u2" if encoding == "utf-16-le" else ">u2"
    wide = np.frombuffer(data, order, len(data) // 2)
    units = np.where(wide < 0x80, wide, 0x80).astype(np.uint8).tobytes()
    return units + b"\x80" * (len(data) % 2)


def detect(head: bytes, declared: str | None, *, whole: bool) -> Encoding:
    """The encoding of a file that begins with `head` (`whole`: and ends with it).

    A byte order mark or the pattern of NUL bytes decides; then what is `declared`, if the head agrees;
    then UTF-8; else the likeliest single-byte encoding, with a warning.
    Raises Refusal `unknown_encoding`, `unsupported_encoding` or `wrong_encoding`.
    """
    marked = _marked(head)
    seen = marked or _nul_pattern(head)
    if seen and seen.name == "utf-32":
        raise Refusal("unsupported_encoding", "The file is UTF-32; save it as UTF-8.")
    if declared is not None:
        return _agreed(_codec(declared, seen), seen, head)
    return seen or _by_content(head, whole)


def _marked(head: bytes) -> Encoding | None:
    for mark, name in _BOMS:
        if head.startswith(mark):
            return Encoding(name, len(mark))
    return None


def _nul_pattern(head: bytes) -> Encoding | None:
    """UTF-16 without a mark: most high bytes are NUL, hardly any low byte is."""
    data = np.frombuffer(head, np.uint8, len(head) // 2 * 2)
    if len(data) < 4:
        return None
    even, odd = float(np.mean(data[::2] == 0)), float(np.mean(data[1::2] == 0))
    if odd > 0.3 and even < 0.05:
        return Encoding("utf-16-le")
    if even > 0.3 and odd < 0.05:
        return Encoding("utf-16-be")
    return None


def _codec(declared: str, seen: Encoding | None) -> str:
    try:
        name = codecs.lookup(declared).name
    except (LookupError, ValueError):
        raise _wrong(
            "unknown_encoding", f"There is no encoding named '{declared[:50]}'; try utf-8 or cp1252."
        ) from None
    if name in ("utf-8-sig", "ascii"):
        return "utf-8"
    if name == "utf-16":
        return seen.name if seen else "utf-16-le"
    if not name.startswith(_SUPPORTED):
        raise _wrong("unsupported_encoding", f"The encoding '{name}' is not supported; save the file as UTF-8.")
    return name


def _agreed(name: str, seen: Encoding | None, head: bytes) -> Encoding:
    if seen and seen.name != name:
        raise _wrong("wrong_encoding", f"The file is {seen.name.upper()}, not {name}.")
    if seen:
        return seen
    if name.startswith("utf-16"):
        raise _wrong("wrong_encoding", f"The file is not {name}: its bytes do not come in pairs of that kind.")
    _check_lines(head, name)
    return Encoding(name)


def _check_lines(head: bytes, name: str) -> None:
    """Refuse a declared encoding that fails on the first line or on a tenth of the lines of `head`."""
    lines = head.splitlines(keepends=True)
    complete = lines[:-1] or lines
    offset, failures = 0, []
    for number, line in enumerate(complete):
        try:
            line.decode(name)
        except UnicodeDecodeError as error:
            failures.append((number, offset + error.start))
        offset += len(line)
    if failures and (failures[0][0] == 0 or len(failures) * 10 > len(complete)):
        at = failures[0][1]
        raise _wrong(
            "wrong_encoding", f"The file is not {name}: byte 0x{head[at]:02X} at offset {at} has no meaning in it."
        )


def _wrong(code: str, message: str) -> Refusal:
    return Refusal(code, message, [{"pointer": "/encoding", "message": message}])


def _by_content(head: bytes, whole: bool) -> Encoding:
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(head, whole)
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    invalid = int(np.count_nonzero((points >= 0xDC80) & (points <= 0xDCFF)))
    beyond_ascii = int(np.count_nonzero(points > 0x7F)) - invalid
    if not invalid:
        return Encoding("utf-8")
    if beyond_ascii >= 10 * invalid:
        return Encoding("utf-8", 0, "The file is UTF-8, but some bytes are not; rows with such bytes are rejected.")
    name = _single_byte(head)
    return Encoding(
        name,
        0,
        f"The file is not UTF-8; it is read as {name}. If characters look wrong, send the file with another encoding.",
    )


def _single_byte(head: bytes) -> str:
    from charset_normalizer import from_bytes

    lines = [line for line in head.splitlines()[:-1] or [head] if not line.isascii()]
    sample = b"\n".join(lines)[:16384]
    if _are_accents(sample):
        return _FALLBACK
    best = from_bytes(sample, cp_isolation=[_FALLBACK, *_NOT_LATIN], enable_fallback=False).best()
    if best is None or best.encoding not in _NOT_LATIN or _FALLBACK in best.could_be_from_charset:
        return _FALLBACK
    return codecs.lookup(best.encoding).name


def _are_accents(sample: bytes) -> bool:
    """Whether most bytes beyond ASCII stand alone, as accents do; the words of other scripts are nothing else."""
    high = np.frombuffer(sample, np.uint8) > 0x7F
    beside = np.zeros(len(high), bool)
    beside[1:] |= high[:-1]
    beside[:-1] |= high[1:]
    return bool(np.count_nonzero(high & beside) * 2 < np.count_nonzero(high))
