"""The examples of `docs/calculations.md` are requests that are accepted, and answers that are given."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from calculations import checks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "calculations.md"


def test_the_examples_are_true(result: Any) -> None:
    request, answer, sweep = (
        json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    )
    found = result("monte-carlo", **request)
    for name in ("histogram", "convergence"):
        found.pop(name)
    found["provenance"].pop("versions")
    assert found == answer
    assert result("sweep", **sweep)["points"] == 6


def test_each_code_is_on_the_page() -> None:
    source = "".join(path.read_text() for path in Path(checks.__file__).parent.rglob("*.py"))
    codes = set(re.findall(r'(?:refuse|Fail)\(\s*"(\w+)"', source))
    codes |= set(re.findall(r'Problem\(\d+, "(\w+)"', source))
    assert {"bad_params", "collinear", "not_allowed_now"} <= codes
    assert {code for code in codes if f"`{code}`" not in PAGE.read_text()} == set()


def test_each_operation_is_on_the_page() -> None:
    from lro.runtime import registry

    names = [cls.name for cls in registry.public_classes() if cls.name.startswith("calculations.")]
    assert len(names) == 5
    for name in names:
        assert f"`{name.partition('.')[2]}`" in PAGE.read_text()
