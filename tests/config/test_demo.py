"""The demo's accounts: made once, kept, and never at the cost of somebody's own."""

import pytest
from django.contrib.auth.models import User

from config.data_directory import DataDirectory
from config.demo import ensure_accounts

pytestmark = pytest.mark.django_db


@pytest.fixture
def data(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> DataDirectory:
    monkeypatch.delenv("LRO_DEMO_PASSWORD", raising=False)
    return DataDirectory(tmp_path_factory.mktemp("demo"))


def test_a_second_call_says_the_same_passwords_and_they_work(data: DataDirectory) -> None:
    first = ensure_accounts(data)
    assert ensure_accounts(data) == first
    assert {account.name for account in first} == {"demo", "staff", "admin"}
    for account in first:
        assert account.password is not None
        assert User.objects.get(username=account.name).check_password(account.password)
    assert (data.root / "demo.json").stat().st_mode & 0o777 == 0o600


def test_each_account_may_do_what_its_name_says(data: DataDirectory) -> None:
    ensure_accounts(data)
    demo, staff, admin = (User.objects.get(username=name) for name in ("demo", "staff", "admin"))
    assert not demo.is_staff
    assert staff.is_staff
    assert not staff.is_superuser
    assert staff.has_perm("lro.view_operation")
    assert admin.is_superuser


def test_an_account_of_somebody_with_that_name_is_left_alone(data: DataDirectory) -> None:
    User.objects.create_user("admin", email="admin@example.org", password="their own")
    admin = next(account for account in ensure_accounts(data) if account.name == "admin")
    assert admin.password is None
    user = User.objects.get(username="admin")
    assert user.check_password("their own")
    assert not user.is_superuser


def test_the_environment_may_say_the_password(data: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRO_DEMO_PASSWORD", "open sesame")
    assert {account.password for account in ensure_accounts(data)} == {"open sesame"}
