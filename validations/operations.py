"""`validations.run` checks a dataset against rules; `validations.profile` proposes rules from a dataset."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lro import Operation, OperationContext, OperationTask, Problem, datasets, register

from . import rule_sets
from .bounds import without_zone
from .faults import BadRules, Fault
from .models import Violation
from .rule_documents import Rule, read_rules
from .serializers import ProfileInput, ProfileResult, ValidationInput, ValidationResult


@register("validations.run")
class Run(OperationTask):
    """Check a dataset against rules, and report what breaks them.

    Data that break a rule are a result and no failure, unless `fail_on` asks for one.
    """

    input_serializer = ValidationInput
    result_serializer = ValidationResult

    @classmethod
    def prepare(cls, data: dict[str, Any], owner: Any) -> dict[str, Any]:
        """Read the rules, and hold them to the columns of the dataset."""
        stored = _stored(data, owner)
        if stored is None:
            rules, base = rule_sets.rules_of(data), "/rules"
        else:
            rules, base = read_rules(stored.rules), "/rule_set/rules"
        as_of = data.get("as_of")
        _check(rules, data["dataset"], owner, base, as_of or datetime.now(UTC))
        return {
            "dataset": data["dataset"],
            "rules": [rule.to_json() for rule in rules],
            "rule_set": str(stored.rule_set_id) if stored else None,
            "version": stored.version if stored else None,
            "fail_on": data["fail_on"],
            "max_violations": data["max_violations"],
            "as_of": as_of.isoformat() if as_of else None,
            "rows_per_child": data["rows_per_child"],
        }

    @classmethod
    def identity(cls, prepared: dict[str, Any]) -> Any:
        """A repeat of a request names the same rule set, whatever became of it meanwhile."""
        newest = ("rules", "version") if prepared["rule_set"] else ()
        return {key: value for key, value in prepared.items() if key not in newest}

    @classmethod
    def tags(cls, prepared: dict[str, Any]) -> list[str]:
        own = [f"rule-set:{prepared['rule_set']}"] if prepared["rule_set"] else []
        return _dataset_tags(prepared) + own

    @classmethod
    def forget(cls, operation: Operation) -> None:
        Violation.objects.filter(operation_id=operation.pk).delete()

    def run(self, op: OperationContext, **data: Any) -> dict[str, Any]:
        from .running import ValidationRun  # polars may not be used before the worker forks

        return ValidationRun(op, **data).run()


@register("validations.run-part")
class RunPart(OperationTask):
    """Check some of a dataset's batches: the part of `validations.run` that a child does."""

    is_internal = True

    @classmethod
    def tags(cls, prepared: dict[str, Any]) -> list[str]:
        return _dataset_tags(prepared)

    @classmethod
    def forget(cls, operation: Operation) -> None:
        Violation.objects.filter(operation_id=operation.pk).delete()

    def run(self, op: OperationContext, **data: Any) -> dict[str, Any]:
        from .running import run_part

        return run_part(op, **data)


@register("validations.profile")
class Profile(OperationTask):
    """Look at every value of a dataset, and propose rules that it passes."""

    input_serializer = ProfileInput
    result_serializer = ProfileResult

    @classmethod
    def tags(cls, prepared: dict[str, Any]) -> list[str]:
        return [datasets.tag(prepared["dataset"])]

    def run(self, op: OperationContext, **data: Any) -> dict[str, Any]:
        from .profiling import ProfileRun

        return ProfileRun(op, **data).run()


def _stored(data: dict[str, Any], owner: Any) -> Any:
    """The rule set that the request names; None where it brings rules itself."""
    given = [key for key in ("rules", "rules_yaml", "rule_set") if data.get(key) is not None]
    if len(given) != 1:
        message = "Give the rules in exactly one of 'rules', 'rules_yaml' and 'rule_set'."
        raise Problem(422, "no_rules", message, [{"pointer": "/rules", "message": message}])
    if given != ["rule_set"]:
        return None
    return rule_sets.find_version(data["rule_set"], data.get("version"), owner)


def _check(rules: list[Rule], dataset: str, owner: Any, base: str, as_of: datetime) -> None:
    """Whether the rules fit the columns. Raises Problem."""
    from .checks import compile_rules, schema_of
    from .references import check_reference

    faults: list[Fault] = []
    try:
        compile_rules(rules, schema_of(datasets.load(dataset).columns), without_zone(as_of), base=base)
    except BadRules as bad:
        faults += bad.faults
    for index, rule in enumerate(rules):
        if rule.kind == "foreign_key":
            try:
                check_reference(rule, owner, f"{base}/{index}")
            except BadRules as bad:
                faults += bad.faults
    if faults:
        raise rule_sets.as_problem(BadRules(faults))


def _dataset_tags(prepared: dict[str, Any]) -> list[str]:
    """Of all the tables that it reads: none of them may be deleted meanwhile."""
    others = [rule["dataset"] for rule in prepared["rules"] if rule["rule"] == "foreign_key"]
    return [datasets.tag(identifier) for identifier in dict.fromkeys([prepared["dataset"], *others])]
