"""Rule sets: stored under a name, each change a version, seen by their owner and changed by nobody else."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from tests.validations.conftest import client_of
from validations.models import RuleSet, RuleSetVersion

pytestmark = [pytest.mark.django_db]

RULES = [{"rule": "required", "column": "name"}]
HOME = "/validations/rule-sets/"


def post(client: Client, name: str = "people", **body: Any) -> Any:
    return client.post(HOME, {"name": name, **(body or {"rules": RULES})}, "application/json")


@pytest.fixture
def stored(client: Client) -> Any:
    return post(client).json()


def put(client: Client, stored: Any, rules: Any, **headers: str) -> Any:
    body = {"name": "people", "rules": rules}
    return client.put(f"{HOME}{stored['id']}", body, "application/json", headers=headers)


def test_rules_are_stored_complete(client: Client, stored: Any) -> None:
    assert stored["version"] == 1
    assert stored["rules"] == [
        {
            "id": "r1",
            "name": "name is not empty",
            "severity": "error",
            "threshold": 0,
            "message": "",
            "rule": "required",
            "column": "name",
        }
    ]
    answer = client.get(f"{HOME}{stored['id']}")
    assert answer.json() == stored
    assert answer.headers["ETag"] == '"1"'


def test_rules_may_be_sent_as_yaml(client: Client) -> None:
    text = "name: towns\nrules:\n  - rule: date_range\n    column: founded\n    minimum: 0800-01-01\n"
    answer = client.post(HOME, text, content_type="application/yaml")
    assert answer.status_code == 201, answer.content
    assert answer.json()["rules"][0]["minimum"] == "0800-01-01"
    assert post(client, name="more", rules_yaml="- rule: distinct_rows").status_code == 201


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [("name: [", 422, "bad_yaml"), ("- 1", 400, "invalid"), ("name: x\nrules: 7", 422, "wrong_type")],
)
def test_bad_yaml_is_refused(client: Client, text: str, status: int, code: str) -> None:
    answer = client.post(HOME, text, content_type="application/yaml")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_change_makes_a_version_and_the_same_rules_again_none(client: Client, stored: Any) -> None:
    assert put(client, stored, RULES).json()["version"] == 1
    changed = put(client, stored, [{"rule": "unique", "column": "name"}]).json()
    assert (changed["version"], changed["rules"][0]["rule"]) == (2, "unique")
    assert client.get(f"{HOME}{stored['id']}?version=1").json()["rules"] == stored["rules"]
    versions = client.get(f"{HOME}{stored['id']}/versions/").json()["results"]
    assert [(each["version"], each["author"]) for each in versions] == [(2, "alice"), (1, "alice")]
    assert [each["version"] for each in client.get(HOME).json()["results"]] == [2]


def test_a_change_of_a_version_that_is_no_longer_the_newest_is_refused(client: Client, stored: Any) -> None:
    other = [{"rule": "unique", "column": "name"}]
    assert put(client, stored, other, **{"If-Match": '"1"'}).status_code == 200
    answer = put(client, stored, RULES, **{"If-Match": '"1"'})
    assert (answer.status_code, answer.json()["code"]) == (412, "version_mismatch")
    assert answer.json()["detail"] == "The rule set is at version 2, not 1: read it again."


def test_a_name_is_taken_once_by_each_owner(client: Client, stored: Any, bob: Any) -> None:
    answer = post(client)
    assert (answer.status_code, answer.json()["code"], answer.json()["errors"][0]["pointer"]) == (
        409,
        "name_taken",
        "/name",
    )
    assert post(client_of(bob)).status_code == 201
    second = post(client, name="second").json()
    assert put(client, second, RULES).json()["code"] == "name_taken"


def test_bad_rules_are_refused_with_their_place(client: Client, stored: Any) -> None:
    for answer in (post(client, name="x", rules=[{"rule": "required"}]), put(client, stored, [{"rule": "required"}])):
        assert (answer.status_code, answer.json()["code"]) == (422, "missing_field")
        assert answer.json()["errors"][0]["pointer"] == "/rules/0/column"
    assert post(client, name="x", sort="x").json()["code"] == "no_rules"


def test_others_see_and_change_nothing_and_staff_sees_only(client: Client, stored: Any, bob: Any) -> None:
    address, other = f"{HOME}{stored['id']}", client_of(bob)
    assert other.get(HOME).json() == {"results": []}
    assert [getattr(other, verb)(address).status_code for verb in ("get", "delete")] == [404, 404]
    assert other.get(f"{address}/versions/").status_code == 404
    assert put(other, stored, RULES).status_code == 404
    bob.user_permissions.add(Permission.objects.get(codename="view_all_operations"))
    assert other.get(address).status_code == 200
    assert [other.delete(address).status_code, put(other, stored, RULES).status_code] == [403, 403]
    assert Client().get(HOME).status_code == 401


def test_what_is_not_there_is_not_found(client: Client, stored: Any) -> None:
    assert client.get(f"{HOME}{uuid4()}").status_code == 404
    assert client.get(f"{HOME}{stored['id']}?version=2").status_code == 404
    assert client.get(f"{HOME}{stored['id']}?version=x").json()["code"] == "invalid"


def test_deleting_a_rule_set_deletes_its_versions(client: Client, stored: Any) -> None:
    put(client, stored, [{"rule": "unique", "column": "name"}])
    assert client.delete(f"{HOME}{stored['id']}").status_code == 204
    assert not RuleSet.objects.exists()
    assert not RuleSetVersion.objects.exists()


def test_the_admin_shows_them_with_their_versions(stored: Any, admin_client: Client) -> None:
    assert b"people" in admin_client.get("/admin/validations/ruleset/").content
    page = admin_client.get(f"/admin/validations/ruleset/{stored['id']}/change/").content
    assert b"name is not empty" in page
    assert b"Save" not in page
