"""Rule sets: found for who may see them, stored with a version for each change."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from lro import Problem

from .faults import BadRules
from .models import RuleSet, RuleSetVersion
from .rule_documents import Rule, read_rules
from .yaml_texts import from_yaml


def as_problem(bad: BadRules) -> Problem:
    """422 with all the faults, named by the first."""
    first = bad.faults[0]
    return Problem(422, first.code, first.message, [fault.to_json() for fault in bad.faults[:100]])


def rules_of(data: dict[str, Any]) -> list[Rule]:
    """The rules in `rules` or `rules_yaml`. Raises Problem."""
    given = [key for key in ("rules", "rules_yaml") if data.get(key) is not None]
    if len(given) != 1:
        message = "Send the rules either in 'rules' or in 'rules_yaml'."
        raise Problem(422, "no_rules", message, [{"pointer": "/rules", "message": message}])
    try:
        return read_rules(data["rules"] if given == ["rules"] else from_yaml(data["rules_yaml"]))
    except BadRules as bad:
        raise as_problem(bad) from None


def find_version(identifier: Any, version: int | None, owner: Any) -> RuleSetVersion:
    """A version of a rule set that the owner may see, the newest by default. Raises Problem."""
    found = RuleSet.objects.visible_to(owner).filter(pk=identifier).first()
    if found is None:
        message = f"There is no rule set {identifier}."
        raise Problem(422, "unknown_rule_set", message, [{"pointer": "/rule_set", "message": message}])
    row = found.versions.filter(version=version or found.version).first()
    if row is None:
        message = f"The rule set {found.name} has the versions 1 to {found.version}, and no {version}."
        raise Problem(422, "unknown_version", message, [{"pointer": "/version", "message": message}])
    return RuleSetVersion.objects.select_related("rule_set").get(pk=row.pk)


def create(name: str, rules: list[Rule], owner: Any) -> RuleSet:
    """Raises Problem where the owner has one of this name."""
    try:
        with transaction.atomic():
            made: RuleSet = RuleSet.objects.create(owner=owner, name=name)
            _add_version(made, rules, owner)
    except IntegrityError:
        raise _name_taken(name) from None
    return made


def replace(identifier: Any, name: str, rules: list[Rule], author: Any, known: int | None) -> RuleSet:
    """Give the rule set these rules, as a new version unless they are the same as before.

    `known` is the version that the author saw. Raises Problem where there is a newer one, or the name is taken.
    """
    try:
        with transaction.atomic():
            row: RuleSet = RuleSet.objects.select_for_update().get(pk=identifier)
            if known is not None and known != row.version:
                message = f"The rule set is at version {row.version}, not {known}: read it again."
                raise Problem(412, "version_mismatch", message)
            row.name = name
            if row.versions.get(version=row.version).rules != [rule.to_json() for rule in rules]:
                row.version += 1
                _add_version(row, rules, author)
            row.updated_at = Now()
            row.save(update_fields=["name", "version", "updated_at"])
    except IntegrityError:
        raise _name_taken(name) from None
    return row


def save_as(name: str, rules: list[Rule], owner: Any) -> RuleSet:
    """The owner's rule set of this name, made or given a new version."""
    mine = RuleSet.objects.filter(owner=owner, name=name).first()
    return create(name, rules, owner) if mine is None else replace(mine.pk, name, rules, owner, None)


def _add_version(row: RuleSet, rules: list[Rule], author: Any) -> None:
    stored = [rule.to_json() for rule in rules]
    RuleSetVersion.objects.create(rule_set=row, version=row.version, rules=stored, author=author)


def _name_taken(name: str) -> Problem:
    message = f"You have a rule set {name} already; change that one, or take another name."
    return Problem(409, "name_taken", message, [{"pointer": "/name", "message": message}])
