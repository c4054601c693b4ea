"""`docs/uploads.md` says what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.uploads.sending import Sender
from uploads import formats

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "uploads.md").read_text()
PAGES = PAGE + (ROOT / "docs" / "datasets.md").read_text() + (ROOT / "docs" / "resumable-uploads.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.django_db(transaction=True)
def test_the_example_ends_as_the_page_says(sender: Sender) -> None:
    (content,), (result, rejects) = blocks("text"), map(json.loads, blocks("json"))
    operation = sender.imported(content.encode(), "orders.jsonl")
    told: dict[str, Any] = {name: operation.result[name] for name in result}
    assert told == result
    found = sender.client.get(f"/operations/{operation.pk}/rejects/").json()["results"]
    assert [{name: reject[name] for name in rejects[0]} for reject in found] == rejects


def test_every_code_is_on_a_page() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "uploads").rglob("*.py"))
    codes = set(re.findall(r'(?:[Rr]efusal|_broken|_problem|_wrong)\(\s*"(\w+)"', sources))
    codes |= set(re.findall(r'Problem\(\s*\d+,\s*"(\w+)"', sources))
    codes |= set(re.findall(r'(?:_reject|RowReject|Misfit)\([^"\n]*"([a-z]+_[a-z_]+)"', sources))
    codes |= {"ragged_short", "json_syntax", "not_an_object"}
    assert {"constraint_error", "bad_schema", "upload_locked", "table_exists", "excel_error_value"} <= codes
    assert {code for code in codes if f"`{code}`" not in PAGES} == set()


def test_every_ending_is_on_the_page() -> None:
    endings = [ending for one in formats.FORMATS.values() for ending in one.endings]
    assert [ending for ending in endings if f".{ending}" not in PAGE] == []
