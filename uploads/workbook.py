"""An Excel workbook (OOXML) as a package: its members, sheets, styles and shared strings, unpacked within limits.

XML is read by lxml without entities, DTD and network, an element at a time.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree

from .archives import max_unpacked_bytes
from .refusals import Refusal
from .schema_constraints import nearest

_CHUNK = 64 * 1024
#: The place of its size in what zipfile knows of the directory, and the most it may be: some 100,000 members.
_DIRECTORY_SIZE, _MAX_DIRECTORY = 5, 8 * 2**20
_SMALL_MEMBER = 16 * 2**20
#: The longest row, or other element read at once, with what stands before it.
_MAX_ELEMENT = 32 * 2**20
_RATIO_FREE_BYTES = 64 * 2**20
_MAX_RATIO = 300
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_SAFE: dict[str, Any] = {"resolve_entities": False, "no_network": True, "load_dtd": False}


@dataclass(frozen=True)
class Sheet:
    name: str
    member: str
    is_hidden: bool


class Workbook:
    """Raises Refusal `bad_workbook` where it is damaged, `unsafe_workbook` where reading it could do harm."""

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        try:
            _check_directory(path)
            self.zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
            raise bad_workbook(str(error)) from None
        try:
            self.read_bytes = 0
            self.members = {_plain(info.filename): info for info in self.zip.infolist()}
            self._check_sizes()
            self.main = self._main()
            self.relations = self._relations(self.main)
            root = self._root(self.main)
            properties = root.find("{*}workbookPr")
            self.is_1904 = properties is not None and properties.get("date1904") in ("1", "true")
            self.sheets = list(self._sheets(root))
        except BaseException:
            self.zip.close()
            raise

    def __enter__(self) -> Workbook:
        return self

    def __exit__(self, *error: object) -> None:
        self.zip.close()

    def sheet(self, wanted: str | None) -> Sheet:
        """The sheet of that name, else the first that is visible. Raises Refusal `unknown_sheet`, `empty_file`."""
        if wanted is None:
            visible = [sheet for sheet in self.sheets if not sheet.is_hidden]
            if not visible:
                raise Refusal("empty_file", "The workbook has no visible sheet; name one with the field 'sheet'.")
            return visible[0]
        names = {sheet.name: sheet for sheet in self.sheets}
        if wanted not in names:
            hint = nearest(wanted, list(names)) or f" Its sheets are: {', '.join(list(names)[:20])}."
            message = f"The workbook has no sheet '{wanted[:100]}'.{hint}"
            raise Refusal("unknown_sheet", message, [{"pointer": "/sheet", "message": message}])
        return names[wanted]

    def elements(self, member: str, tag: str, end: str) -> Iterator[Any]:
        """Each element `tag` of a member, whole, until the element `end` is closed; it is gone when the next comes."""
        parser = etree.XMLPullParser(events=("end",), tag=("{*}" + tag, "{*}" + end), **_SAFE)
        waiting, wanted = 0, ""
        for chunk in self._chunks(member):
            waiting = self._feed(parser, chunk, waiting, member)
            for _, element in parser.read_events():
                waiting = 0
                if element.tag != wanted:
                    if not wanted:
                        _refuse_entities(element, member)
                    if etree.QName(element).localname == end:
                        return
                    wanted = element.tag
                while (before := element.getprevious()) is not None:
                    before.getparent().remove(before)
                yield element

    def _feed(self, parser: Any, chunk: bytes, waiting: int, member: str) -> int:
        if waiting > _MAX_ELEMENT:
            raise _unsafe(f"a row of {member} is longer than {_MAX_ELEMENT // 2**20} MiB")
        try:
            parser.feed(chunk)
        except etree.XMLSyntaxError as error:
            raise bad_workbook(f"{member}: {error.msg}") from None
        return waiting + len(chunk)

    def related(self, kind: str) -> str | None:
        """The member that the workbook names for its `sharedStrings` or `styles`."""
        return next((member for name, member in self.relations.values() if name == kind), None)

    def shared_strings(self) -> Iterator[str]:
        member = self.related("sharedStrings")
        if member:
            for element in self.elements(member, "si", "sst"):
                yield text_of(element)

    def number_formats(self) -> list[str]:
        """The number format of each cell style: its code, or "#" and the number of one that is built in."""
        member = self.related("styles")
        if not member:
            return []
        root = self._root(member)
        codes = {one.get("numFmtId"): one.get("formatCode", "") for one in root.iterfind("{*}numFmts/{*}numFmt")}
        styles = (one.get("numFmtId", "0") for one in root.iterfind("{*}cellXfs/{*}xf"))
        return [codes.get(number, f"#{number}") for number in styles]

    def _check_sizes(self) -> None:
        total = sum(info.file_size for info in self.members.values())
        if total > max_unpacked_bytes():
            raise _unsafe(f"it unpacks to {total:,} bytes, more than the {max_unpacked_bytes():,} that are allowed")
        for name, info in self.members.items():
            if info.file_size > max(_RATIO_FREE_BYTES, _MAX_RATIO * info.compress_size):
                raise _unsafe(f"its {name} unpacks to {info.file_size:,} bytes, over {_MAX_RATIO} times its size")
            if info.flag_bits & 1:
                raise bad_workbook("it is encrypted; save it without a password")

    def _main(self) -> str:
        for one in self._root("_rels/.rels"):
            if one.get("Type", "").endswith("/officeDocument"):
                return _plain(one.get("Target", ""))
        raise bad_workbook("it names no workbook")

    def _relations(self, member: str) -> dict[str, tuple[str, str]]:
        """The kind and the member of each relation of a member, by its id."""
        folder, name = posixpath.split(member)
        relations = self._root(posixpath.join(folder, "_rels", f"{name}.rels"))
        return {
            one.get("Id", ""): (one.get("Type", "").rpartition("/")[2], _resolve(folder, one.get("Target", "")))
            for one in relations
            if one.get("TargetMode") != "External"
        }

    def _sheets(self, root: Any) -> Iterator[Sheet]:
        for one in root.iterfind("{*}sheets/{*}sheet"):
            identifier = next((value for key, value in one.attrib.items() if key.endswith("}id")), "")
            kind, member = self.relations.get(identifier, ("", ""))
            if kind == "worksheet":
                yield Sheet(one.get("name", ""), member, one.get("state", "visible") != "visible")

    def _root(self, member: str) -> Any:
        """A small member, parsed as a whole."""
        info = self.members.get(member)
        if info is not None and info.file_size > _SMALL_MEMBER:
            raise _unsafe(f"its {member} has {info.file_size:,} bytes")
        try:
            root = etree.fromstring(b"".join(self._chunks(member)), etree.XMLParser(**_SAFE))
        except etree.XMLSyntaxError as error:
            raise bad_workbook(f"{member}: {error.msg}") from None
        _refuse_entities(root, member)
        return root

    def _chunks(self, member: str) -> Iterator[bytes]:
        info = self.members.get(member)
        if info is None:
            raise bad_workbook(f"it has no {member}")
        self.read_bytes = 0
        try:
            with self.zip.open(info) as stream:
                while chunk := stream.read(_CHUNK):
                    self.read_bytes += len(chunk)
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise bad_workbook(f"{member}, after {self.read_bytes:,} bytes: {error}") from None

    def fraction(self, member: str) -> float:
        """How much of a member is read, from 0 to 1."""
        return min(1.0, self.read_bytes / max(1, self.members[member].file_size))


def _check_directory(path: Path) -> None:
    """Refuse a package with very many members before their names fill the memory."""
    with path.open("rb") as file:
        record = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # as ZipFile itself finds it, ZIP64 too
    if record and record[_DIRECTORY_SIZE] > _MAX_DIRECTORY:
        raise _unsafe(f"its list of members has {record[_DIRECTORY_SIZE]:,} bytes")


def text_of(element: Any) -> str:
    """The text of a shared or inline string: of its runs, without what tells how to pronounce it."""
    if len(element) == 1 and not len(first := element[0]):
        text = first.text or ""
    else:
        parts = (one for one in element.iter("{*}t") if not one.getparent().tag.endswith("}rPh"))
        text = "".join(one.text or "" for one in parts)
    return _ESCAPED.sub(_unescape, text) if "_x" in text else text


def _unescape(match: re.Match[str]) -> str:
    number = int(match[1], 16)
    return chr(number) if number and not 0xD800 <= number < 0xE000 else match[0]


def _refuse_entities(element: Any, member: str) -> None:
    if element.getroottree().docinfo.internalDTD is not None:
        raise _unsafe(f"its {member} declares entities")


def _plain(name: str) -> str:
    return name.replace("\\", "/").lstrip("/")


def _resolve(folder: str, target: str) -> str:
    return _plain(target) if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))


def bad_workbook(problem: str) -> Refusal:
    return Refusal("bad_workbook", f"The workbook cannot be read: {problem}.")


def _unsafe(problem: str) -> Refusal:
    return Refusal("unsafe_workbook", f"The workbook is refused: {problem}.")
