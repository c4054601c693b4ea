"""`validations.run` from the request to the reports."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]

PEOPLE = "name,age,mail\nAda,36,ada@example.org\nGrace,,grace@example\nAda,142,\n"
RULES = [
    {"rule": "required", "column": "age", "id": "age-there"},
    {"rule": "unique", "column": "name", "id": "one-name"},
    {"rule": "between", "column": "age", "minimum": 0, "maximum": 120, "id": "age"},
    {"rule": "pattern", "column": "mail", "pattern": r"[^@\s]+@[^@\s]+\.[a-z]+", "severity": "warning", "id": "mail"},
    {"rule": "row_count", "minimum": 1, "id": "some"},
]


def outcomes(operation: Any) -> dict[str, Any]:
    return {each["id"]: (each["status"], each["failed"]) for each in operation["result"]["outcomes"]}


def test_each_rule_is_judged_and_each_violation_counted(upload: Any, validate: Any) -> None:
    operation = validate(upload(PEOPLE), RULES)
    assert operation["state"] == "succeeded", operation["error"]
    assert outcomes(operation) == {
        "age-there": ("failed", 1),
        "one-name": ("failed", 1),
        "age": ("failed", 1),
        "mail": ("failed", 1),
        "some": ("passed", 0),
    }
    assert operation["result"]["verdict"] == "failed"
    print(operation)
