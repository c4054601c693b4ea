"""What a class names as secret `run` is given, and nobody is shown."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from rest_framework import serializers

from lro import Operation, OperationTask, register
from lro.models import Attempt, Event
from lro.runtime import masking, registry
from lro.runtime.masking import MASK
from lro.testing import run_attempt, run_operation
from lro.transports import frames
from lro.transports.records import after_of

NAME, ADDRESS = "probe.keeps-secrets", "/probe/keeps-secrets"
KEY, WORD, PIN = "sk-live/4711 €", "correct horse battery", "2468"


@pytest.fixture
def browser(admin_client: Client) -> Client:
    return admin_client


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    source = {"address": "db.example.org", "password": WORD}
    return {"diary": str(tmp_path / "seen"), "api_key": KEY, "source": source, "pin": PIN}


@pytest.fixture
def operation(admin_user: Any, given: dict[str, Any]) -> Operation:
    return run_attempt(NAME, given, admin_user)


def post(browser: Client, data: Any, **headers: str) -> str:
    return browser.post(ADDRESS, data, content_type="application/json", headers=headers).content.decode()


def lro(*arguments: str) -> str:
    out = io.StringIO()
    try:
        call_command("lro", *arguments, stdout=out, stderr=out)
    except CommandError as error:
        out.write(str(error))
    return out.getvalue()


def followed(operation: Operation) -> str:
    """What WebSocket, Socket.IO and server-sent events send, each in its own envelope."""
    events, row = after_of(str(operation.pk), 0)
    assert row is not None
    told = [frames.snapshot(row, []), *(news.frame(frozenset()) for news in frames.News.of(events, {row.pk: row}))]
    return "".join(frame.text for frame in told)


Shown = Callable[[Client, Operation, dict[str, Any]], str]
SHOWN: dict[str, Shown] = {
    "the start": lambda browser, row, given: post(browser, given),
    "the repeat of a start": lambda browser, row, given: [
        post(browser, given, Idempotency_Key="once") for _ in range(2)
    ][1],
    "the operation": lambda browser, row, given: browser.get(f"/operations/{row.pk}").content.decode(),
    "the list": lambda browser, row, given: browser.get("/operations/").content.decode(),
    "a retry": lambda browser, row, given: browser.post(f"/operations/{row.pk}/retry").content.decode(),
    "what followers are told": lambda browser, row, given: followed(row),
    "the admin": lambda browser, row, given: browser.get(
        reverse("admin:lro_operation_change", args=[row.pk])
    ).content.decode(),
    "lro show": lambda browser, row, given: lro("show", str(row.pk)),
    "lro show --json": lambda browser, row, given: lro("show", str(row.pk), "--json"),
    "lro list --json": lambda browser, row, given: lro("list", "--json"),
}


def secrets_in(text: str) -> list[str]:
    plain = text.encode().decode("unicode_escape", errors="ignore") + text
    return [secret for secret in ("sk-live", "4711", WORD, PIN) if secret in plain]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("surface", SHOWN)
def test_no_surface_shows_a_secret(browser: Client, operation: Operation, given: dict[str, Any], surface: str) -> None:
    shown = SHOWN[surface](browser, operation, given)
    assert "db.example.org" in shown, "the rest of the input is there"
    assert MASK in shown or json.dumps(MASK)[1:-1] in shown
    assert secrets_in(shown) == []


@pytest.mark.django_db(transaction=True)
def test_run_is_given_what_was_sent(operation: Operation, given: dict[str, Any]) -> None:
    source = {"address": "db.example.org", "word": WORD}
    assert json.loads(Path(given["diary"]).read_text()) == {**given, "source": source}


@pytest.mark.django_db(transaction=True)
def test_a_child_is_masked_as_any_other(browser: Client, admin_user: Any, given: dict[str, Any]) -> None:
    parent = run_operation("probe.splits", {"child": NAME, "inputs": [given], "on_failure": "collect"}, admin_user)
    (child,) = browser.get(f"/operations/{parent.pk}/children/").json()["results"]
    masked = {"address": "db.example.org", "word": MASK}
    assert child["input"] == {"diary": given["diary"], "api_key": MASK, "source": masked, "pin": MASK}


@pytest.mark.django_db(transaction=True)
def test_an_error_does_not_say_it_to_anybody(
    admin_user: Any, given: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        operation = run_attempt(NAME, given, admin_user)
    assert operation.error["message"] == f"The service says: bad key {MASK}"
    assert operation.error["details"] == [{"sent": {"keys": [MASK]}}]
    told = [event.data for event in Event.objects.filter(operation=operation)]
    kept = list(Attempt.objects.filter(operation=operation).values("error", "traceback"))
    assert secrets_in(json.dumps([told, kept], ensure_ascii=False) + caplog.text) == []
    assert "The service says" in caplog.text


@pytest.mark.parametrize("wrong", [{"pin": "9999-no-pin"}, {"diary": "refused"}], ids=["a value", "a state"])
@pytest.mark.parametrize("address", [ADDRESS, f"{ADDRESS}?validate_only=true"])
def test_a_refusal_does_not_repeat_it(
    browser: Client, given: dict[str, Any], address: str, wrong: dict[str, Any]
) -> None:
    answer = browser.post(address, {**given, **wrong}, content_type="application/json")
    assert answer.status_code in (400, 409)
    assert MASK in json.dumps(answer.json(), ensure_ascii=False)
    assert [secret for secret in ("9999", "sk-live") if secret in answer.content.decode()] == []


@pytest.mark.django_db(transaction=True)
def test_a_search_does_not_find_it(browser: Client, operation: Operation) -> None:
    def found(text: str) -> int:
        return len(browser.get("/operations/", {"search": text}).json()["results"])

    assert found("sk-live") == 0
    assert found("keeps-secrets") == 1
    run_attempt("probe.counts", {"to": 47_110}, operation.owner)
    assert found("47110") == 1, "what has no secret is found by its input"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lookup", ["input__api_key__startswith", "input__icontains", "input_digest__startswith"])
def test_the_admin_cannot_be_asked_for_it_a_letter_at_a_time(
    browser: Client, operation: Operation, lookup: str
) -> None:
    assert browser.get("/admin/lro/operation/", {lookup: "s"}).status_code == 400


class Leaf(serializers.Serializer[Any]):
    word = serializers.CharField(style={"input_type": "password"})


class Inputs(serializers.Serializer[Any]):
    key = serializers.CharField(source="stored_key")
    many = Leaf(many=True)
    named = serializers.DictField(child=Leaf())
    free = serializers.JSONField()


def task(*secrets: str, serializer: Any = Inputs) -> type[OperationTask]:
    return type("Task", (OperationTask,), {"input_serializer": serializer, "secrets": secrets})


def test_the_place_of_a_secret_may_be_within_lists_and_objects_and_named_otherwise() -> None:
    data = {
        "stored_key": 1234,
        "many": [{"word": "a"}, {"word": None}],
        "named": {"x": {"word": "b"}},
        "free": [{"a": {"b": ["c"], "d": 1}}, "e"],
    }
    assert masking.shown(task("key", "free.a.b"), data) == {
        "stored_key": MASK,
        "many": [{"word": MASK}, {"word": None}],
        "named": MASK,
        "free": [{"a": {"b": MASK, "d": 1}}, "e"],
    }
    assert data["stored_key"] == 1234, "what is shown is a copy"


def test_without_a_serializer_the_names_are_those_of_the_input() -> None:
    assert masking.shown(task("a.b", serializer=None), {"a": {"b": 1}, "c": 2}) == {"a": {"b": MASK}, "c": 2}


def test_of_a_class_that_is_gone_everything_is_masked() -> None:
    assert masking.shown(registry.known("shop.gone"), {"a": {"b": 1}, "c": None}) == {"a": MASK, "c": None}


@pytest.mark.parametrize("name", ["kye", "key.part", "many.wrod"])
def test_a_name_that_would_mask_nothing_is_refused_at_registration(name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"has no input '{name}'"):
        register("shop.typo")(task(name))
    assert registry.known("shop.typo") is None


def test_one_text_in_place_of_a_tuple_is_refused() -> None:
    class Text(OperationTask):
        secrets: ClassVar[Any] = "api_key"

    with pytest.raises(ImproperlyConfigured, match="is a tuple of names"):
        register("shop.text")(Text)


def test_an_error_is_rid_of_every_spelling_of_it() -> None:
    secret = 'pass"wörd\n/x'
    redact = masking.redactor(task("k", serializer=None), {"k": [secret, "pass", "ab"]})
    for spelled in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret), quote(secret, safe="")):
        assert redact(f"<{spelled}> ab") == f"<{MASK}> ab", "what is short stands in many a text by chance"
