"""The OpenAPI document is current, complete, and what the calls really answer."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from jsonschema import Draft202012Validator
from rest_framework_simplejwt.tokens import AccessToken

from lro.runtime import executor, registry
from lro.testing import run_operation
from lro.transports.rest import urls
from lro.transports.rest.openapi import Generator
from uploads.receiving import limit_body

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "docs" / "openapi.yaml"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Document:
    return dict(Generator().get_schema(request=None, public=True))


@pytest.fixture(scope="module")
def closed(document: Document) -> Document:
    """The document, in which an answer may have no field that it does not name."""
    return _closed(copy.deepcopy(document))


def _closed(node: Any) -> Any:
    if isinstance(node, dict):
        for value in node.values():
            _closed(value)
        if "allOf" in node:  # each of them sees all the fields
            return node
        if node.get("type") == "object" and {"properties", "required"} <= set(node):
            node.setdefault("additionalProperties", False)
    elif isinstance(node, list):
        for value in node:
            _closed(value)
    return node


@pytest.fixture
def client(alice: Any, files: Path) -> Client:
    return Client(headers={"Authorization": f"Bearer {AccessToken.for_user(alice)}"})


def assert_as_documented(document: Document, template: str, method: str, answer: Any) -> None:
    """Status, media type, headers and body are those of the document."""
    responses = document["paths"][template][method]["responses"]
    assert str(answer.status_code) in responses, f"{method} {template} answered {answer.status_code}"
    response = responses[str(answer.status_code)]
    if "content" not in response:
        assert answer.content == b""
        return
    media = answer.headers["Content-Type"].split(";")[0]
    schema = response["content"][media]["schema"]
    if media.endswith("json"):
        found = Draft202012Validator({**schema, "components": document["components"]}).iter_errors(answer.json())
        assert [f"{error.json_path}: {error.message}" for error in found] == []


def test_the_committed_document_is_that_of_the_code(tmp_path: Path) -> None:
    fresh = tmp_path / "openapi.yaml"
    command = [sys.executable, "manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", str(fresh)]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert fresh.read_text() == COMMITTED.read_text(), "docs/openapi.yaml is not current; `make schemas` renews it."


def test_every_operation_has_a_path_with_its_own_request(document: Document) -> None:
    for task in registry.public_classes():
        call = document["paths"][f"/{task.name.replace('.', '/')}"]["post"]
        content = call["requestBody"]["content"]
        assert call["tags"] == [task.name.partition(".")[0]]
        assert {"200", "202", "400", "401", "403", "404", "409", "413", "415", "422", "429", "503"} == set(
            call["responses"]
        )
        if task.input_serializer is None:
            assert content["application/json"]["schema"]["additionalProperties"] is True
        else:
            assert all("$ref" in media["schema"] for media in content.values())
    assert not [path for path in document["paths"] if "{module}" in path]


def test_a_file_is_sent_in_a_form_or_left_out_and_a_result_is_typed(document: Document) -> None:
    call = document["paths"]["/uploads/import"]["post"]
    assert list(call["requestBody"]["content"]) == ["multipart/form-data", "application/json"]
    operation = document["components"]["schemas"]["UploadsImportOperation"]
    result = operation["allOf"][1]["properties"]["result"]
    assert result == {"anyOf": [{"$ref": "#/components/schemas/ImportResult"}, {"type": "null"}]}
    counts = document["paths"]["/probe/counts"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert counts == {"$ref": "#/components/schemas/CountsInputRequest"}


def test_every_call_of_the_app_is_there(document: Document) -> None:
    for pattern in urls.urlpatterns:
        if pattern.name != "start":
            path = "/" + str(pattern.pattern).replace("<uuid:pk>", "{id}").replace("<uuid:artifact>", "{artifact}")
            assert path in document["paths"]
    assert {"/auth/token/", "/auth/token/refresh/"} <= set(document["paths"])
    assert set(document["components"]["securitySchemes"]) == {"jwtAuth", "cookieAuth", "monitorAuth"}


def test_every_call_has_a_name_of_its_own_and_a_summary(document: Document) -> None:
    calls = [call for path in document["paths"].values() for call in path.values()]
    names = [call["operationId"] for call in calls]
    assert len(names) == len(set(names))
    assert [call["operationId"] for call in calls if not call.get("summary")] == []


@pytest.mark.django_db(transaction=True)
def test_an_import_answers_as_documented(closed: Document, client: Client) -> None:
    body = {"file": SimpleUploadedFile("data.csv", b"name,age\nAda,36\nBob\n")}
    made = client.post("/uploads/import", body, headers={"Prefer": "respond-async"})
    assert made.status_code == 202
    assert_as_documented(closed, "/uploads/import", "post", made)
    documented = set(closed["paths"]["/uploads/import"]["post"]["responses"]["202"]["headers"])
    assert documented - {"Idempotency-Replayed"} <= set(made.headers)
    executor.execute(made.json()["id"])
    done = client.get(f"/operations/{made.json()['id']}").json()
    schema = {"$ref": "#/components/schemas/ImportResult", "components": closed["components"]}
    Draft202012Validator(schema).validate(done["result"])
    assert_as_documented(closed, "/uploads/datasets/", "get", client.get("/uploads/datasets/"))
    dataset = client.get(f"/uploads/datasets/{done['result']['dataset']}")
    assert dataset.json()["operation"] == done["id"]
    assert_as_documented(closed, "/uploads/datasets/{id}", "get", dataset)
    assert_as_documented(closed, "/uploads/limits", "get", client.get("/uploads/limits"))


@pytest.mark.django_db(transaction=True)
def test_reading_answers_as_documented(closed: Document, client: Client, alice: Any, diary: Path) -> None:
    own = f"/operations/{run_operation('probe.whole', {'diary': str(diary)}, alice).pk}"
    for part in ("", "/events/", "/rejects/", "/children/", "/artifacts/"):
        assert_as_documented(closed, f"/operations/{{id}}{part}", "get", client.get(own + part))
    assert_as_documented(closed, "/operations/", "get", client.get("/operations/", {"limit": 1}))
    assert_as_documented(closed, "/operations/{id}/rejects/", "get", client.get(f"{own}/rejects/?format=csv"))
    download = client.get(client.get(f"{own}/artifacts/").json()["results"][0]["links"]["download"])
    assert download.headers["Content-Disposition"].startswith("attachment")
    assert b"".join(download.streaming_content) == b"all of it"
    download.close()
    tag = client.get(own).headers["ETag"]
    unchanged = client.get(own, headers={"If-None-Match": tag})
    assert unchanged.status_code == 304
    assert_as_documented(closed, "/operations/{id}", "get", unchanged)
    gone = client.delete(own)
    assert gone.status_code == 204
    assert_as_documented(closed, "/operations/{id}", "delete", gone)


@pytest.mark.django_db(transaction=True)
def test_acts_and_errors_answer_as_documented(closed: Document, client: Client, alice: Any) -> None:
    checked = client.post("/probe/counts?validate_only=true", {"to": 1}, content_type="application/json")
    assert checked.json() == {"valid": True}
    assert_as_documented(closed, "/probe/counts", "post", checked)
    for data, kind, status in (({"to": "x"}, "application/json", 400), ("x", "text/plain", 415)):
        refused = client.post("/probe/counts", data, content_type=kind)
        assert refused.status_code == status
        assert_as_documented(closed, "/probe/counts", "post", refused)
    own = f"/operations/{run_operation('probe.fails', {}, alice).pk}"
    for verb, status in (("pause", 409), ("retry", 200), ("pause", 200), ("resume", 200), ("cancel", 200)):
        answer = client.post(f"{own}/{verb}")
        assert answer.status_code == status
        assert_as_documented(closed, f"/operations/{{id}}/{verb}", "post", answer)
    nobody = Client().get("/operations/")
    assert nobody.status_code == 401
    assert_as_documented(closed, "/operations/", "get", nobody)
    assert_as_documented(closed, "/operations/", "get", client.get("/operations/?state=lost"))
    wrong = Client().post("/auth/token/", {"username": "alice", "password": "wrong"})
    assert_as_documented(closed, "/auth/token/", "post", wrong)
    right = Client().post("/auth/token/", {"username": "alice", "password": "alice-password"})
    assert right.status_code == 200
    assert_as_documented(closed, "/auth/token/", "post", right)
    assert_as_documented(closed, "/health/live", "get", Client().get("/health/live"))


def test_what_is_refused_before_django_is_the_same_problem(closed: Document, settings: Any) -> None:
    settings.UPLOADS = {"MAX_BYTES": 1}
    said: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    scope = {"type": "http", "path": "/uploads/import", "headers": [(b"content-length", b"999999")]}
    asyncio.run(limit_body(None)(scope, None, send))  # type: ignore[arg-type]
    schema = {"$ref": "#/components/schemas/Problem", "components": closed["components"]}
    Draft202012Validator(schema).validate(json.loads(said[1]["body"]))


def test_the_document_is_served_as_yaml_and_as_json(client: Client, document: Document) -> None:
    served = yaml.safe_load(Client().get("/schema/").content)
    assert served["openapi"] == "3.1.0"
    assert set(served["paths"]) == set(document["paths"])
    assert Client().get("/schema/?format=json").json()["info"]["title"] == settings.SPECTACULAR_SETTINGS["TITLE"]
