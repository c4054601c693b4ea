"""The admin: what it shows, what it lets whom do, and what it writes down."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from lro.models import Artifact, Duty, Event, Operation
from lro.runtime import control, submission
from lro.testing import run_attempt
from uploads.models import Dataset, ResumableUpload, Upload

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/lro/operation/"


def staff(django_user_model: Any, name: str, *rights: str) -> Any:
    user = django_user_model.objects.create_user(name, password="x", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label__in=["lro", "uploads"], codename__in=rights)
    )
    return user


@pytest.fixture
def keeper(django_user_model: Any) -> Any:
    """May see and steer all operations, and delete them."""
    verbs = ("cancel", "pause", "retry", "delete", "view")
    return staff(django_user_model, "keeper", "view_all_operations", *(f"{verb}_operation" for verb in verbs))


@pytest.fixture
def reader(django_user_model: Any) -> Any:
    return staff(django_user_model, "reader", "view_operation", "view_all_operations")


def browser(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page_of(operation: Operation) -> str:
    return reverse("admin:lro_operation_change", args=[operation.pk])


def queued(owner: Any, name: str = "probe.counts", **data: Any) -> Operation:
    return submission.submit(name, data or {"to": 3}, owner).operation


def messages_of(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


def test_the_list_shows_each_operation_with_a_bar_that_needs_no_script(keeper: Any, alice: Any) -> None:
    operation = run_attempt("probe.counts", {"to": 5}, alice)
    html = browser(keeper).get(LIST).content.decode()
    assert f'<span data-lro-state="succeeded" data-operation-id="{operation.pk}">Succeeded</span>' in html
    assert re.search(rf'<lro-progress operation-id="{operation.pk}"[^>]*><progress max="100" value="100.00"', html)
    assert '<script src="/static/lro/admin.js" type="module">' in html
    assert str(operation.pk)[-8:] in html


def test_no_page_needs_an_inline_script_or_style(keeper: Any, alice: Any) -> None:
    operation = run_attempt("probe.fails", {}, alice)
    for address in (LIST, page_of(operation)):
        html = browser(keeper).get(address).content.decode()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", html)
        assert all("src=" in tag or "application/json" in tag for tag in re.findall(r"<script[^>]*>", html))


def test_the_list_costs_the_same_however_long_it_is(
    keeper: Any, alice: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(12):
        queued(alice)
    client = browser(keeper)
    with django_assert_max_num_queries(8):
        client.get(LIST)


@pytest.mark.parametrize("query", ["?q=probe.fai", "?state__exact=failed", "?name=probe.fails"])
def test_the_list_is_searched_and_filtered(keeper: Any, alice: Any, query: str) -> None:
    wanted, other = run_attempt("probe.fails", {}, alice), queued(alice)
    html = browser(keeper).get(LIST + query).content.decode()
    assert page_of(wanted) in html
    assert page_of(other) not in html


def test_an_operation_is_found_by_the_end_of_its_id(keeper: Any, alice: Any) -> None:
    wanted, other = queued(alice), queued(alice)
    html = browser(keeper).get(LIST, {"q": str(wanted.pk)[-12:]}).content.decode()
    assert page_of(wanted) in html
    assert page_of(other) not in html


def test_who_may_not_see_all_sees_only_their_own(django_user_model: Any, alice: Any) -> None:
    user = staff(django_user_model, "own", "view_operation")
    theirs, mine = queued(alice), queued(user)
    client = browser(user)
    html = client.get(LIST).content.decode()
    assert page_of(mine) in html
    assert page_of(theirs) not in html
    assert client.get(page_of(theirs)).status_code == 302  # to the index, as for what does not exist
    assert client.post(reverse("admin:lro_operation_cancel", args=[theirs.pk])).status_code == 404


def test_the_page_of_a_failure_says_why_before_all_else(keeper: Any, alice: Any) -> None:
    operation = run_attempt("probe.fails", {"some": "input"}, alice)
    html = browser(keeper).get(page_of(operation)).content.decode()
    assert 0 < html.index("It was never going to work.") < html.index("lro-hero")
    assert "Failed: It was never going to work." in html
    assert "&quot;some&quot;: &quot;input&quot;" in html


def test_the_page_shows_the_traceback_of_each_attempt(keeper: Any, alice: Any) -> None:
    operation = run_attempt("probe.breaks", {}, alice)
    assert "RuntimeError: broken" in browser(keeper).get(page_of(operation)).content.decode()


def test_the_page_shows_the_last_fifty_events_and_goes_on_after_them(keeper: Any, alice: Any) -> None:
    operation = run_attempt("probe.saves", {"to": 60}, alice)
    html = browser(keeper).get(page_of(operation)).content.decode()
    shown = [int(number) for number in re.findall(r'<tr data-testid="event-row" data-sequence="(\d+)"', html)]
    operation.refresh_from_db()
    assert shown == list(range(operation.last_sequence - 49, operation.last_sequence + 1))
    assert f'data-lro-events data-operation-id="{operation.pk}" data-after="{operation.last_sequence}"' in html
    assert "Item 49." in html
    assert "Item 50." not in html
    assert "10 more" in html


def test_a_hostile_text_is_shown_as_text(keeper: Any, alice: Any) -> None:
    operation = queued(alice, "probe.fails", text="<script>alert(1)</script>")
    Event.objects.filter(operation=operation).update(kind="log", data={"message": "<img src=x>"})
    html = browser(keeper).get(page_of(operation)).content.decode()
    assert "<script>alert" not in html
    assert "<img src=x>" not in html


def test_nothing_can_be_added_or_changed(django_user_model: Any, alice: Any) -> None:
    root = django_user_model.objects.create_superuser("root", password="x")
    operation = queued(alice)
    client = browser(root)
    assert client.get(LIST + "add/").status_code == 403
    assert client.post(page_of(operation), {"name": "other"}).status_code == 403
    assert "_save" not in client.get(page_of(operation)).content.decode()


@pytest.mark.parametrize(
    ("acts", "offered"),
    [([], ["cancel", "pause"]), (["pause"], ["cancel", "resume"]), (["cancel"], ["retry"])],
)
def test_the_tools_follow_the_state(keeper: Any, alice: Any, acts: list[str], offered: list[str]) -> None:
    operation = queued(alice)
    for verb in acts:
        control.act(verb, operation.pk, "alice")
    html = browser(keeper).get(page_of(operation)).content.decode()
    assert re.findall(r'data-verb="(\w+)"', html) == offered


def test_the_tools_follow_the_rights(reader: Any, alice: Any) -> None:
    client, operation = browser(reader), queued(alice)
    assert "data-verb" not in client.get(page_of(operation)).content.decode()
    assert client.post(reverse("admin:lro_operation_cancel", args=[operation.pk])).status_code == 404
    operation.refresh_from_db()
    assert operation.state == "queued"


def test_a_tool_acts_and_the_history_tells_who(keeper: Any, alice: Any) -> None:
    operation = queued(alice)
    response = browser(keeper).post(reverse("admin:lro_operation_cancel", args=[operation.pk]), follow=True)
    assert "The operation is cancelled." in messages_of(response)
    entry = LogEntry.objects.get(object_id=str(operation.pk))
    assert (entry.user, entry.get_change_message()) == (keeper, "Asked to cancel it.")
    assert operation.events.get(kind="cancel.requested").data["by"] == "keeper"


def test_a_tool_needs_a_post_with_a_token(keeper: Any, alice: Any) -> None:
    operation = queued(alice)
    address = reverse("admin:lro_operation_cancel", args=[operation.pk])
    assert browser(keeper).get(address).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(keeper)
    assert strict.post(address).status_code == 403
    assert strict.get(page_of(operation)).content.decode().count("csrfmiddlewaretoken") >= 2
    operation.refresh_from_db()
    assert operation.state == "queued"


def test_what_the_state_forbids_is_said_and_not_logged(keeper: Any, alice: Any) -> None:
    operation = run_attempt("probe.counts", {"to": 1}, alice)
    response = browser(keeper).post(reverse("admin:lro_operation_pause", args=[operation.pk]), follow=True)
    assert "cannot be paused" in messages_of(response)
    assert not LogEntry.objects.exists()


def test_retry_from_the_start_forgets_the_checkpoint(keeper: Any, alice: Any) -> None:
    operation = queued(alice)
    Operation.objects.filter(pk=operation.pk).update(checkpoint=2)
    control.act("cancel", operation.pk, "alice")
    client = browser(keeper)
    assert "Retry from the start" in client.get(page_of(operation)).content.decode()
    client.post(reverse("admin:lro_operation_retry", args=[operation.pk]), {"from": "start"})
    operation.refresh_from_db()
    assert (operation.state, operation.checkpoint) == ("queued", None)


def test_a_bulk_action_asks_with_the_number_and_reports_the_skipped(keeper: Any, alice: Any) -> None:
    waiting = [queued(alice), queued(alice)]
    ended = run_attempt("probe.counts", {"to": 1}, alice)
    client = browser(keeper)
    chosen = {"action": "cancel_operations", "_selected_action": [str(row.pk) for row in [*waiting, ended]]}
    html = client.post(LIST, chosen).content.decode()
    assert "Cancel 2 operations?" in html
    assert "1 of the selected is left out: 1 succeeded." in html
    assert Operation.objects.filter(state="cancelled").count() == 0
    response = client.post(LIST, {**chosen, "confirmed": "yes"}, follow=True)
    assert "done for 2 operations" in messages_of(response)
    assert "Skipped 1: 1 succeeded." in messages_of(response)
    assert Operation.objects.filter(state="cancelled").count() == 2
    assert LogEntry.objects.filter(user=keeper).count() == 2


def test_a_bulk_action_skips_what_is_not_the_reader_s(reader: Any, alice: Any) -> None:
    theirs, mine = queued(alice), queued(reader)
    chosen = {"action": "cancel_operations", "_selected_action": [str(theirs.pk), str(mine.pk)], "confirmed": "yes"}
    response = browser(reader).post(LIST, chosen, follow=True)
    assert "Skipped 1: 1 not yours." in messages_of(response)
    assert list(Operation.objects.filter(state="cancelled")) == [mine]


def test_only_what_has_ended_can_be_deleted_and_its_files_go_with_it(
    keeper: Any, alice: Any, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    running, ended = queued(alice), run_attempt("probe.counts", {"to": 1}, alice)
    artifact = Artifact(operation=ended, name="report.txt", size=2, sha256="0" * 64)
    artifact.file.save("report.txt", ContentFile(b"hi"))
    client = browser(keeper)
    assert client.post(page_of(running).replace("change", "delete"), {"post": "yes"}).status_code == 403
    assert client.post(page_of(ended).replace("change", "delete"), {"post": "yes"}).status_code == 302
    assert list(Operation.objects.all()) == [running]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_deleting_many_is_refused_while_one_of_them_runs(keeper: Any, alice: Any) -> None:
    rows = [queued(alice), run_attempt("probe.counts", {"to": 1}, alice)]
    chosen = {"action": "delete_selected", "_selected_action": [str(row.pk) for row in rows]}
    html = browser(keeper).post(LIST, chosen).content.decode()
    assert "is queued" in html
    browser(keeper).post(LIST, {**chosen, "post": "yes"})
    assert Operation.objects.count() == 2


def test_uploads_and_datasets_are_there_to_look_at(django_user_model: Any, alice: Any) -> None:
    root = django_user_model.objects.create_superuser("root", password="x")
    operation = run_attempt("probe.counts", {"to": 1}, alice)
    Upload.objects.create(owner=alice, filename="people.csv", size=10, sha256="a" * 64)
    Dataset.objects.create(
        owner=alice, operation_id=operation.pk, name="People", columns=[{"name": "age"}], sha256="b" * 64
    )
    client = browser(root)
    assert "people.csv" in client.get("/admin/uploads/upload/").content.decode()
    html = client.get("/admin/uploads/dataset/").content.decode()
    assert "People" in html
    assert page_of(operation) in html
    ResumableUpload.objects.create(owner=alice, length=2048, offset=1024, expires_at=timezone.now())
    assert "1.0\xa0KB of 2.0\xa0KB" in client.get("/admin/uploads/resumableupload/").content.decode()
    assert client.get("/admin/uploads/dataset/add/").status_code == 403


def test_the_sum_of_what_the_reconcilers_did_is_only_to_be_looked_at(admin_user: Any) -> None:
    Duty.objects.create(name="rescue_dead", done=12, seconds=0.5)
    page = browser(admin_user).get("/admin/lro/duty/")
    assert "rescue_dead" in page.content.decode()
    assert browser(admin_user).get("/admin/lro/duty/add/").status_code == 403
    assert browser(admin_user).post("/admin/lro/duty/rescue_dead/delete/", {"post": "yes"}).status_code == 403
