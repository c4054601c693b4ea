"""The page for authors is what runs here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.test import Client

from lro.runtime import executor
from migrations_app import registry
from tests.migrations_app.runs import run
from tests.probe import data_migrations
from tests.probe.models import Thing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data-migrations.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_is_in_the_source() -> None:
    source = Path(data_migrations.__file__).read_text()
    for line in filter(None, blocks("python")[0].splitlines()):
        assert line in source, line


def test_the_request_is_answered_as_it_says(client: Client, clerk: Any) -> None:
    Thing.objects.bulk_create(Thing(touched=value) for value in (14, 20, 99, 2_000))
    request, result = blocks("json")
    answer = client.post("/migrations/run", json.loads(request.partition("\n")[2]), content_type="application/json")
    executor.execute(answer.json()["id"])
    found = client.get(f"/operations/{answer.json()['id']}").json()["result"]
    expected = json.loads(result)
    steps = [{name: step[name] for name in expected["steps"][0]} for step in found["steps"]]
    assert {**{name: found[name] for name in expected}, "steps": steps} == expected
    assert set(found) - set(expected) == {"transactions"}
    run(clerk, "probe.round-prices", reverse=answer.json()["id"])
    assert sorted(Thing.objects.values_list("touched", flat=True)) == [14, 20, 99, 2_000]


def test_every_code_is_named() -> None:
    source = "".join(path.read_text() for path in Path(registry.__file__).parent.rglob("*.py"))
    codes = set(re.findall(r'(?:refuse\(|Problem\()\s*4\d\d,\s*"(\w+)"', source)) - {"invalid"}
    codes |= set(re.findall(r'Fail\(\s*"(\w+)"', source))
    assert {"unknown_step", "dependencies_pending", "bad_source"} <= codes
    assert {code for code in codes if f"`{code}`" not in PAGE} == set()


def test_its_commands_are_understood() -> None:
    for line in blocks("sh")[0].splitlines():
        name, *arguments = line.partition("#")[0].replace("manage.py", "").split()
        command = load_command_class(get_commands()[name], name)
        command.create_parser("manage.py", name).parse_args(arguments)
