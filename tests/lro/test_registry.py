"""A name belongs to one class."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from lro import OperationTask, register
from lro.runtime import registry


@pytest.fixture(autouse=True)
def _own_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_classes", {})


def of(module: str, name: str = "Reprice") -> type[OperationTask]:
    return type(name, (OperationTask,), {"__module__": module})


@pytest.mark.parametrize("other", [of("shop.operations", "Other"), of("stock.operations")])
def test_two_classes_cannot_share_a_name(other: type[OperationTask]) -> None:
    register("shop.reprice")(of("shop.operations"))
    with pytest.raises(ImproperlyConfigured, match="registered twice"):
        register("shop.reprice")(other)


def test_a_module_that_is_loaded_again_declares_its_classes_anew() -> None:
    register("shop.reprice")(of("shop.operations"))
    newest = register("shop.reprice")(of("shop.operations"))
    assert registry.find("shop.reprice") is newest


def test_a_name_says_the_module_and_the_operation() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"must look like 'module\.operation'"):
        register("Reprice")
