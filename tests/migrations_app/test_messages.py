"""What a person is told of a run that is refused: what is wrong, where, and what to do."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import models
from django.test import Client
from django.test.utils import isolate_apps

from lro import Fail
from lro.testing import pause_after
from migrations_app import sources, writing
from tests.migrations_app.runs import run
from tests.migrations_app.test_requests import changed, post
from tests.probe.models import Thing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("checked")]

OTHER = str(UUID(int=7))
REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({"migration": "probe.cuont"}, "There is no data migration 'probe.cuont'. Did you mean probe.count?"),
    (
        {"migration": "probe.name-and-count", "steps": ["nmae"]},
        "probe.name-and-count has no step 'nmae'; its steps are count-named, name.",
    ),
    (
        {"migration": "probe.count", "parameters": {"text": "a"}},
        "probe.count has no parameter 'text'.",
    ),
    (
        {"migration": "probe.write", "parameters": {"text": "a", "tmies": 2}},
        "probe.write has no parameter 'tmies'. Did you mean times?",
    ),
    ({"migration": "probe.write"}, "The parameters are not valid: text: This field is required."),
    (
        {"migration": "probe.count", "reverse": OTHER, "retry_rejects": OTHER},
        "Either reverse a run, or retry what it rejected.",
    ),
    (
        {"migration": "probe.count", "reverse": OTHER, "dry_run": True},
        "'reverse' cannot be combined with 'dry_run'.",
    ),
    (
        {"migration": "probe.count", "dry_run": True, "shards": 2},
        "A dry run is not sharded: leave 'shards' at 1.",
    ),
    ({"migration": "probe.count", "reverse": OTHER}, f"probe.count has no run {OTHER}."),
]


def told(answer: Any) -> str:
    assert answer.status_code in (409, 422), answer.content
    return str(answer.json()["detail"])


@pytest.mark.parametrize(("data", "message"), REQUESTS)
def test_a_request_is_refused_with_its_remedy(client: Client, data: dict[str, Any], message: str) -> None:
    assert told(post(client, **data)) == message


def test_a_misspelled_option_does_not_do_the_real_thing(client: Client) -> None:
    answer = post(client, migration="probe.count", dryrun=True)
    assert answer.status_code == 400
    assert answer.json()["errors"] == [
        {
            "pointer": "/dryrun",
            "message": "There is no field 'dryrun' here; did you mean 'dry_run'?",
            "code": "unknown_field",
        }
    ]


def test_what_was_run_before_says_why_not_again(client: Client, clerk: Any, things: Any) -> None:
    things(2)
    done = run(clerk, "probe.name-and-count")
    wanted = {"migration": "probe.name-and-count"}
    assert told(post(client, **wanted, retry_rejects=str(done.pk))) == f"The run {done.pk} rejected no record."
    back = run(clerk, "probe.name-and-count", reverse=str(done.pk))
    assert told(post(client, **wanted, reverse=str(done.pk))) == f"The run {done.pk} was reversed by {back.pk}."
    message = f"The run {back.pk} is a reverse, and is not reversed itself."
    assert told(post(client, **wanted, reverse=str(back.pk))) == message
    marked = run(clerk, "probe.mark")
    assert told(post(client, migration="probe.mark", reverse=str(marked.pk))) == (
        "probe.mark kept no old values in this run, and not each of its steps has a reverse()."
    )


def test_a_run_that_has_not_ended_is_named_with_its_state(
    client: Client, clerk: Any, things: Any, small_batches: None
) -> None:
    things(12)
    with pause_after(checkpoints=2):
        operation = run(clerk, "probe.count")
    answer = post(client, migration="probe.count", reverse=str(operation.pk))
    assert told(answer) == f"The run {operation.pk} has not ended yet: it is paused."


def test_other_code_is_confirmed_by_a_field(
    client: Client, clerk: Any, things: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    things(2)
    operation = run(clerk, "probe.count")
    changed(monkeypatch)
    assert told(post(client, migration="probe.count", reverse=str(operation.pk))) == (
        "The code of probe.count was changed since that run. "
        "Look at the change, then send the request with confirm_code_change."
    )


@pytest.mark.parametrize("rows", ["sliced", "values", "union"])
def test_a_source_that_has_no_place_to_go_on_from_is_refused(rows: str) -> None:
    everything = Thing.objects.all()
    source: Any = {
        "sliced": everything[:5],
        "values": everything.values("id"),
        "union": everything.union(Thing.objects.filter(pk=1)),
    }[rows]
    with pytest.raises(Fail) as failed:
        sources.source_of(source)
    assert (failed.value.code, failed.value.message) == (
        "bad_source",
        "source() must return a queryset of whole rows, without a slice, union() or values().",
    )


def test_a_source_of_another_database_is_refused(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [Elsewhere()]
    with pytest.raises(Fail) as failed:
        sources.source_of(Thing.objects.all())
    assert (failed.value.code, failed.value.message) == (
        "bad_source",
        "Thing is stored in another database than the operations: no transaction holds both.",
    )


class Elsewhere:
    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "elsewhere" if model is Thing else None


@isolate_apps("tests.probe")
def test_a_model_of_several_tables_is_refused() -> None:
    class Heavy(Thing):
        weight = models.IntegerField()

        class Meta:
            app_label = "probe"

    with pytest.raises(Fail) as failed:
        writing.refuse_unfit(Heavy)
    assert failed.value.code == "unsupported_model"
    assert failed.value.message.endswith("Heavy is stored in several tables, and cannot be written at once.")
