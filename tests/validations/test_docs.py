"""What `docs/validations.md` says is what happens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from validations.rule_kinds import KINDS
from validations.urls import urlpatterns

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("files", "checked")]

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "validations.md").read_text()
BLOCKS = re.findall(r"```(csv|json)\n(.*?)```", PAGE, re.DOTALL)
CSV, (REQUEST, RESULT, REFUSAL) = BLOCKS[0][1], [json.loads(text) for kind, text in BLOCKS if kind == "json"]
EXAMPLES = re.findall(r"^\| `(\w+)` \| `(\{.*?\})` \|", PAGE, re.MULTILINE)


def matches(found: Any, said: Any) -> bool:
    """Whether `found` holds all that is said of it."""
    if isinstance(said, dict):
        return all(matches(found[key], value) for key, value in said.items())
    if isinstance(said, list):
        return len(found) == len(said) and all(map(matches, found, said))
    return bool(found == said)


def test_the_request_has_the_result_that_is_shown(client: Client, upload: Any, validate: Any) -> None:
    operation = validate(upload(CSV), REQUEST["rules"])
    assert matches(operation["result"], RESULT), operation["result"]
    events = client.get(f"/operations/{operation['id']}/events/").json()["results"]
    told = [each for event in events for each in event["data"].get("violations", [])]
    shown = json.loads(re.search(r"`(\{\"rule\": \"shipped-later\".*?\})`", PAGE, re.DOTALL)[1].replace("\n", " "))  # type: ignore[index]
    assert shown in told


def test_every_kind_of_rule_has_an_example_that_runs(upload: Any, validate: Any) -> None:
    dataset = upload(CSV)
    rules = [{**json.loads(text), "id": kind} for kind, text in EXAMPLES]
    assert [kind for kind, _ in EXAMPLES] == list(KINDS)
    for rule in rules:
        if "dataset" in rule:
            rule["dataset"] = dataset
    result = validate(dataset, rules, as_of="2024-03-10T00:00:00Z")["result"]
    found = {each["id"]: (each["status"], each["failed"]) for each in result["outcomes"]}
    broken = {kind: count for kind, (status, count) in found.items() if status != "passed"}
    assert broken == {"between": 1, "pattern": 1, "enum": 1}
    assert result["errored"] == 0


def test_the_refusal_is_the_one_that_is_shown(client: Client, upload: Any) -> None:
    data = {"dataset": upload(CSV), "rules": [{"rule": "required", "column": "prise"}]}
    answer = client.post("/validations/run", data, content_type="application/json")
    assert matches(answer.json(), REFUSAL)


def test_every_code_of_a_refusal_is_named() -> None:
    folder = Path(__file__).resolve().parents[2] / "validations"
    source = "\n".join(path.read_text() for path in folder.glob("*.py"))
    raised = set(re.findall(r'Fault\(\s*[^,]+,\s*"(\w+)"', source)) | set(re.findall(r'Problem\(422, "(\w+)"', source))
    listed = re.search(r"The codes are `(.*?)`", PAGE, re.DOTALL)
    assert listed is not None
    assert raised <= set(listed[1].split())
    others = set(re.findall(r'Problem\(4(?!22)\d\d, "(\w+)"', source)) - {"invalid"}
    assert {"name_taken", "version_mismatch"} <= others
    assert {code for code in others if f"`{code}`" not in PAGE} == set()


def test_every_address_is_named() -> None:
    for pattern in urlpatterns:
        assert str(pattern.pattern).replace("<uuid:pk>", "{id}") in PAGE
