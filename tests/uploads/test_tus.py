"""What the protocol of tus says of each answer, and each violation of it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.http import parse_http_date

from tests.uploads.tus_client import CONTENT, MEDIA_TYPE, TusClient, age, assert_refused, digest, encode, kept, row
from uploads import resumable
from uploads.models import ResumableUpload

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("files")]

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "resumable-uploads.md").read_text()


@pytest.fixture
def client(alice: Any) -> TusClient:
    return TusClient(alice)


def test_the_abilities_are_told_to_everybody(settings: Any) -> None:
    settings.UPLOADS = {"MAX_BYTES": 1000}
    answer = TusClient().send("OPTIONS", "/uploads/files/", Tus_Resumable=None)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Tus-Version"] == answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.headers["Tus-Max-Size"] == "1000"
    extensions = "creation,creation-with-upload,creation-defer-length,termination,checksum,expiration"
    assert answer.headers["Tus-Extension"] == extensions
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha256,sha1,sha512,md5"


def test_a_new_upload_has_an_address_and_an_end_of_its_time(client: TusClient) -> None:
    answer = client.create(100)
    assert (answer.status_code, answer.content, answer.headers["Upload-Offset"]) == (201, b"", "0")
    assert answer.headers["Location"].startswith("/uploads/files/")
    left = parse_http_date(answer.headers["Upload-Expires"]) - timezone.now().timestamp()
    assert 24 * 3600 - 60 < left <= 24 * 3600


def test_asking_tells_offset_length_and_metadata_and_is_never_cached(client: TusClient) -> None:
    metadata = {"filename": "Größe.csv", "flag": ""}
    address = client.created(len(CONTENT), **metadata)
    client.patch(address, 0, CONTENT[:10])
    answer = client.head(address)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Cache-Control"] == "no-store"
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Length"]) == ("10", str(len(CONTENT)))
    assert answer.headers["Upload-Metadata"] == encode(metadata).strip()
    assert "Upload-Expires" in answer.headers


@pytest.mark.parametrize("method", ["PATCH", "HEAD", "DELETE", "patch"])
def test_a_method_that_a_proxy_does_not_let_through_is_named_in_a_header(client: TusClient, method: str) -> None:
    address = client.created(100)
    headers = {"X_HTTP_Method_Override": method, "Upload_Offset": 0}
    answer = client.send("POST", address, b"12345", **headers)
    assert answer.status_code == (200 if method == "HEAD" else 204)
    assert ResumableUpload.objects.exists() is (method != "DELETE")
    if method.upper() == "PATCH":
        assert answer.headers["Upload-Offset"] == "5"


def test_a_repeated_end_is_harmless(client: TusClient) -> None:
    address = client.created(len(CONTENT))
    client.patch(address, 0, CONTENT)
    assert client.patch(address, len(CONTENT), b"").status_code == 204


CREATION: list[tuple[str, dict[str, Any], int, str]] = [
    ("no version", {"Tus_Resumable": None}, 412, "tus_version"),
    ("another version", {"Tus_Resumable": "0.2.2"}, 412, "tus_version"),
    ("no length", {"Upload_Length": None}, 400, "invalid_header"),
    ("an empty length", {"Upload_Length": ""}, 400, "invalid_header"),
    ("a negative length", {"Upload_Length": -1}, 400, "invalid_header"),
    ("a length that is no number", {"Upload_Length": "ten"}, 400, "invalid_header"),
    ("a length with a fraction", {"Upload_Length": "1.5"}, 400, "invalid_header"),
    ("a length in other digits", {"Upload_Length": "1e3"}, 400, "invalid_header"),
    ("a length beyond all numbers", {"Upload_Length": "9" * 30}, 400, "invalid_header"),
    ("a length over the limit", {"Upload_Length": 1001}, 413, "upload_too_large"),
    ("a length both given and deferred", {"Upload_Defer_Length": 1}, 400, "invalid_header"),
    ("a deferral that is not 1", {"Upload_Length": None, "Upload_Defer_Length": 0}, 400, "invalid_header"),
    ("metadata that is not base64", {"Upload_Metadata": "filename ä"}, 400, "invalid_header"),
    ("metadata with bad padding", {"Upload_Metadata": "filename YWI"}, 400, "invalid_header"),
    ("metadata that is not UTF-8", {"Upload_Metadata": "filename /w=="}, 400, "invalid_header"),
    ("metadata with U+0000", {"Upload_Metadata": "filename AA=="}, 400, "invalid_header"),
    ("metadata without a key", {"Upload_Metadata": ",filename YQ=="}, 400, "invalid_header"),
    ("metadata with a key twice", {"Upload_Metadata": "a YQ==,a YQ=="}, 400, "invalid_header"),
    ("metadata of great length", {"Upload_Metadata": "a " + "YWFh" * 3000}, 400, "invalid_header"),
    ("a SHA-256 that is none", {"Upload_Metadata": "sha256 eno="}, 400, "invalid_header"),
    ("a checksum of an unknown kind", {"Upload_Checksum": "crc99 YQ=="}, 400, "invalid_header"),
    ("bytes of another media type", {"body": b"12", "Content_Type": "text/csv"}, 415, "unsupported_media_type"),
    ("more bytes than the file has", {"body": b"1" * 101}, 413, "upload_too_large"),
    (
        "bytes that are not those of the checksum",
        {"body": b"12", "Upload_Checksum": digest("md5", b"1")},
        460,
        "checksum_mismatch",
    ),
]


@pytest.mark.parametrize(("headers", "status", "code"), [each[1:] for each in CREATION], ids=[e[0] for e in CREATION])
def test_a_creation_is_refused_for(
    client: TusClient, settings: Any, files: Path, headers: dict[str, Any], status: int, code: str
) -> None:
    settings.UPLOADS = {"MAX_BYTES": 1000}
    answer = client.create(**{"length": 100, **headers})
    assert_refused(answer, status, code)
    if status != 413:
        assert (ResumableUpload.objects.count(), kept(files)) == (0, [])


APPENDING: list[tuple[str, dict[str, Any], int, str]] = [
    ("no version", {"Tus_Resumable": None}, 412, "tus_version"),
    ("another version", {"Tus_Resumable": "2"}, 412, "tus_version"),
    ("no media type", {"Content_Type": ""}, 415, "unsupported_media_type"),
    ("another media type", {"Content_Type": "application/octet-stream"}, 415, "unsupported_media_type"),
    ("no offset", {"offset": None}, 400, "invalid_header"),
    ("an empty offset", {"offset": ""}, 400, "invalid_header"),
    ("a negative offset", {"offset": -1}, 400, "invalid_header"),
    ("an offset that is no number", {"offset": "x"}, 400, "invalid_header"),
    ("an earlier offset", {"offset": 0}, 409, "offset_mismatch"),
    ("a later offset", {"offset": 11}, 409, "offset_mismatch"),
    ("more bytes than are left", {"body": CONTENT[10:] + b"!"}, 413, "upload_too_large"),
    ("another length than before", {"Upload_Length": 99}, 400, "invalid_header"),
    ("a length over the limit", {"Upload_Length": 1001}, 413, "upload_too_large"),
    ("a checksum of an unknown kind", {"Upload_Checksum": "crc99 YQ=="}, 400, "invalid_header"),
    ("a checksum in hex", {"Upload_Checksum": "sha1 " + "0f" * 20}, 400, "invalid_header"),
    ("a checksum that is not base64", {"Upload_Checksum": "sha1 ??"}, 400, "invalid_header"),
    ("a checksum without a value", {"Upload_Checksum": "sha1"}, 400, "invalid_header"),
    ("a checksum of other bytes", {"Upload_Checksum": digest("sha1", b"")}, 460, "checksum_mismatch"),
]


@pytest.mark.parametrize(("changes", "status", "code"), [each[1:] for each in APPENDING], ids=[e[0] for e in APPENDING])
def test_bytes_are_refused_for(
    client: TusClient, settings: Any, changes: dict[str, Any], status: int, code: str
) -> None:
    settings.UPLOADS = {"MAX_BYTES": 1000}
    address = client.created(len(CONTENT))
    client.patch(address, 0, CONTENT[:10])
    assert_refused(client.patch(address, **{"offset": 10, "body": CONTENT[10:], **changes}), status, code)
    assert (client.offset(address), row(address).path.read_bytes()[:10]) == (10, CONTENT[:10])
    client.patch(address, 10, CONTENT[10:])
    assert row(address).path.read_bytes() == CONTENT


@pytest.mark.parametrize("offset", [0, 10])
def test_bytes_after_the_end_are_refused(client: TusClient, offset: int) -> None:
    address = client.created(10)
    client.patch(address, 0, b"0123456789")
    status, code = (409, "offset_mismatch") if offset == 0 else (413, "upload_too_large")
    assert_refused(client.patch(address, offset, b"0123456789"), status, code)
    assert row(address).path.read_bytes() == b"0123456789"


def test_a_deferred_length_is_limited_too(client: TusClient, settings: Any) -> None:
    settings.UPLOADS = {"MAX_BYTES": 1000}
    address = client.created(None)
    assert_refused(client.patch(address, 0, b"1" * 1001), 413, "upload_too_large")
    client.patch(address, 0, b"1" * 500)
    assert_refused(client.patch(address, 500, b"1", Upload_Length=499), 400, "invalid_header")


VERBS = [("HEAD", {}), ("PATCH", {"Upload_Offset": 0, "Content_Type": MEDIA_TYPE}), ("DELETE", {})]


@pytest.mark.parametrize(("method", "headers"), VERBS)
def test_what_is_another_persons_does_not_exist(client: TusClient, bob: Any, method: str, headers: Any) -> None:
    address = client.created(100)
    assert TusClient(bob).send(method, address, **headers).status_code == 404
    assert client.offset(address) == 0


@pytest.mark.parametrize(("method", "headers"), [*VERBS, ("POST", {"Upload_Length": 5})])
def test_who_is_not_logged_in_is_refused(client: TusClient, method: str, headers: Any) -> None:
    address = client.created(100) if method != "POST" else "/uploads/files/"
    answer = TusClient().send(method, address, **headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')


@pytest.mark.parametrize(("method", "headers"), VERBS)
def test_what_was_given_up_is_gone_with_its_bytes(client: TusClient, files: Path, method: str, headers: Any) -> None:
    address = client.created(100)
    client.patch(address, 0, b"12345")
    answer = client.send("DELETE", address)
    assert (answer.status_code, answer.content, kept(files)) == (204, b"", [])
    assert client.send(method, address, **headers).status_code == 404


@pytest.mark.parametrize(("method", "headers"), VERBS)
def test_what_has_expired_is_said_to_have(client: TusClient, method: str, headers: Any) -> None:
    address = client.created(100)
    age(address)
    answer = client.send(method, address, **headers)
    assert answer.status_code == 410
    if method != "HEAD":
        assert answer.json()["code"] == "upload_expired"


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_other_methods_are_refused(client: TusClient, method: str) -> None:
    assert client.send(method, client.created(100)).status_code == 405


def test_an_address_that_is_no_id_is_not_found(client: TusClient) -> None:
    assert client.head("/uploads/files/0").status_code == 404


def test_a_session_needs_the_csrf_token(alice: Any) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    answer = browser.post("/uploads/files/", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "5"})
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_nobody_has_more_unfinished_uploads_than_a_hundred(client: TusClient, alice: Any) -> None:
    one = ResumableUpload(owner=alice, length=5, expires_at=resumable.expiry())
    ResumableUpload.objects.bulk_create([ResumableUpload(owner=alice, expires_at=one.expires_at) for _ in range(100)])
    assert_refused(client.create(5), 429, "quota")


def test_a_full_disk_is_told_and_what_fitted_stays(client: TusClient, monkeypatch: pytest.MonkeyPatch) -> None:
    address = client.created(9)
    client.patch(address, 0, b"12345")
    write = os.pwrite

    def fill(file: int, content: memoryview, at: int) -> int:
        """Of three bytes for which there is still room."""
        if at >= 8:
            raise OSError(28, "No space left on device")
        return write(file, content[: 8 - at], at)

    with monkeypatch.context() as patched:
        patched.setattr("os.pwrite", fill)
        answer = client.patch(address, 5, b"6789")
        assert_refused(answer, 507, "storage_full")
        assert answer.headers["Upload-Offset"] == "8"
        checked = client.patch(address, 8, b"9", Upload_Checksum=digest("sha1", b"9"))
        assert_refused(checked, 507, "storage_full")
    assert client.patch(address, 8, b"9").headers["Upload-Offset"] == "9"
    assert row(address).sha256 == hashlib.sha256(b"123456789").hexdigest()


def test_what_is_said_is_what_the_page_shows(client: TusClient) -> None:
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    place = ""
    for request, status, answered in re.findall(
        r"((?:POST|PATCH) .*?)^(\d+) \w+ ?\w*(.*?)(?:\n\n|\Z)", shown, re.DOTALL | re.M
    ):
        method, address = request.split()[:2]
        told = {name.replace("-", "_"): value for name, value in _headers(request)}
        is_patch = method == "PATCH"
        answer = client.send(method, place or address, CONTENT if is_patch else b"", **told)
        assert answer.status_code == int(status)
        place = place or answer.headers["Location"]
        for name, value in _headers(answered):
            assert answer.headers[name] == value or "…" in value or "GMT" in value
    assert row(place).operation_id


def _headers(text: str) -> list[tuple[str, str]]:
    return re.findall(r" ([A-Z][\w-]+): (.+)", text)


def test_the_page_names_each_refusal_with_its_status() -> None:
    source = "".join((ROOT / "uploads" / name).read_text() for name in ("tus.py", "resumable.py", "appending.py"))
    named = set(re.findall(r"^\| (\d{3}) \| `(\w+)`", PAGE, re.M))
    raised = set(re.findall(r'(\d{3}), "(\w+)"', source)) - {("422", "unknown_upload"), ("409", "upload_unfinished")}
    unsaid = {("408", "request_timeout"), ("400", "interrupted")}  # who would hear it is gone
    assert named == raised - unsaid | {("460", "checksum_mismatch")}
