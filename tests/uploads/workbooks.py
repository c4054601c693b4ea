"""Workbooks for tests: by openpyxl, or member by member where no library would write such a thing."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import openpyxl

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SHEETS = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_MEMBERS = {
    "workbook": "sheet.main",
    "sharedStrings": "sharedStrings",
    "styles": "styles",
    "worksheets/sheet1": "worksheet",
}
_CONTENT = "".join(
    f'<Override PartName="/xl/{member}.xml" ContentType="{_SHEETS}.{kind}+xml"/>' for member, kind in _MEMBERS.items()
)


def written(rows: Iterable[Sequence[Any]], change: Callable[[Any], None] | None = None) -> bytes:
    """A workbook with these rows in its only sheet, after `change` was made to it."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if change:
        change(book)
    return saved(book)


def saved(book: Any) -> bytes:
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def made(
    sheet: str,
    *,
    strings: str = "",
    styles: str = "",
    head: str = "",
    properties: str = "",
    members: dict[str, bytes] | None = None,
    namespace: str = _MAIN,
) -> bytes:
    """A workbook whose only sheet has `sheet` as its sheetData, in XML."""
    parts = {
        "[Content_Types].xml": f'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">{_CONTENT}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" Type="{_OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{namespace}" xmlns:r="{_OFFICE}">{properties}<sheets>'
        '<sheet name="Data" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_RELATIONS}">'
        f'<Relationship Id="r1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{_OFFICE}/sharedStrings" Target="/xl/sharedStrings.xml"/>'
        f'<Relationship Id="r3" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
        "xl/sharedStrings.xml": f'{head}<sst xmlns="{namespace}">{strings}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{namespace}">{styles}</styleSheet>',
        "xl/worksheets/sheet1.xml": f'{head}<worksheet xmlns="{namespace}"><sheetData>{sheet}</sheetData></worksheet>',
    }
    encoded = {name: part.encode() for name, part in parts.items()} | (members or {})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in encoded.items():
            archive.writestr(name, content)
    return file.getvalue()


def row(number: int, *cells: str) -> str:
    return f'<row r="{number}">{"".join(cells)}</row>'


def text(place: str, words: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{words}</t></is></c>'


def value(place: str, content: str, kind: str = "n", style: int | None = None) -> str:
    shown = "" if style is None else f' s="{style}"'
    return f'<c r="{place}" t="{kind}"{shown}><v>{content}</v></c>'
