"""A rule document read into rules; what is wrong in it is named with its place. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from . import bounds
from .faults import BadRules, Fault, did_you_mean
from .rule_kinds import KINDS, Kind

MAX_RULES = 300
SEVERITIES = ("error", "warning")
_COMMON = ("rule", "id", "name", "severity", "threshold", "message")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, complete. `threshold`: so many (int), or that share (float) of the rows may break it."""

    id: str
    kind: str
    name: str
    severity: str
    threshold: int | float
    message: str
    columns: tuple[str, ...]
    options: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The document that reads as this very rule."""
        kept = {key: value for key, value in asdict(self).items() if key not in ("kind", "columns", "options")}
        columns = {"column": self.columns[0]} if len(self.columns) == 1 else {"columns": list(self.columns)}
        return {**kept, "rule": self.kind, **(columns if self.columns else {}), **self.options}

    @property
    def scope(self) -> str:
        return KINDS[self.kind].scope

    @property
    def column(self) -> str:
        return ", ".join(self.columns)


def read_rules(document: Any, *, base: str = "/rules") -> list[Rule]:
    """The rules of a list of objects. Raises BadRules with every fault, each pointing below `base`."""
    if not isinstance(document, list) or not document:
        raise BadRules([Fault(base, "wrong_type", "The rules must be a list of objects, at least one.")])
    if len(document) > MAX_RULES:
        message = f"There are {len(document):,} rules; a document has at most {MAX_RULES}. Split it."
        raise BadRules([Fault(base, "too_many_rules", message)])
    faults: list[Fault] = []
    rules: list[Rule] = []
    taken: dict[str, int] = {}
    for index, item in enumerate(document):
        found = list(_faults(item, f"{base}/{index}", index, taken))
        faults += found
        if not found:
            rules.append(_rule(item, index))
    if faults:
        raise BadRules(faults)
    return rules


def _faults(item: Any, place: str, index: int, taken: dict[str, int]) -> Iterator[Fault]:
    if not isinstance(item, dict):
        yield Fault(place, "wrong_type", f"Rule {index + 1} must be an object.")
        return
    if not all(_is_storable(text) for text in _texts(item)):
        message = f"Rule {index + 1} holds U+0000 or half of a surrogate pair, which cannot be stored."
        yield Fault(place, "wrong_type", message)
        return
    label = item.get("id", f"r{index + 1}")
    if not isinstance(label, str) or not _ID.fullmatch(label):
        message = f"The id of rule {index + 1} must be 1 to 60 letters, digits, '.', '_' or '-'."
        yield Fault(f"{place}/id", "bad_id", message)
        return
    if label in taken:
        yield Fault(f"{place}/id", "duplicate_id", f"The id {label} is that of rule {taken[label] + 1} already.")
    taken.setdefault(label, index)
    yield from _common_faults(item, place, label)
    word = item.get("rule")
    if not isinstance(word, str) or word not in KINDS:
        shown = f"{word!s:.80}{did_you_mean(str(word), KINDS)}" if word else "missing."
        message = f"Rule {label}: the kind of rule is {shown} The kinds are {', '.join(KINDS)}."
        yield Fault(f"{place}/rule", "unknown_rule", message)
        return
    yield from _column_faults(item, place, label, KINDS[word])
    yield from _option_faults(item, place, label, KINDS[word])


def _texts(value: Any) -> Iterator[str]:
    """All texts in a document, the keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value:
            yield from _texts(each)
        for each in value.values() if isinstance(value, dict) else ():
            yield from _texts(each)


def _is_storable(text: str) -> bool:
    return "\0" not in text and not _SURROGATE.search(text)


def _common_faults(item: dict[str, Any], place: str, label: str) -> Iterator[Fault]:
    if item.get("severity", "error") not in SEVERITIES:
        message = f"Rule {label}: the severity is error or warning, not '{item['severity']!s:.80}'."
        yield Fault(f"{place}/severity", "bad_severity", message)
    for key in ("name", "message"):
        if not isinstance(item.get(key, ""), str) or len(item.get(key, "")) > 500:
            yield Fault(
                f"{place}/{key}", "wrong_type", f"Rule {label}: {key} must be a text of at most 500 characters."
            )
    if not _is_threshold(item.get("threshold", 0)):
        message = (
            f"Rule {label}: a threshold is a count (0, 10, …) or a share below 1 (0.05), not {item['threshold']!r:.80}."
        )
        yield Fault(f"{place}/threshold", "bad_threshold", message)


def _is_threshold(value: Any) -> bool:
    return bounds.is_number(value) and (value >= 0 if isinstance(value, int) else 0 <= value < 1)


def _column_faults(item: dict[str, Any], place: str, label: str, kind: Kind) -> Iterator[Fault]:
    given = [key for key in ("column", "columns") if key in item]
    if kind.columns == "none":
        for key in given:
            yield Fault(f"{place}/{key}", "unknown_field", f"Rule {label}: {item['rule']} takes no {key}.")
        return
    if len(given) != 1 or (given == ["columns"] and kind.columns == "one"):
        wanted = "a column" if kind.columns == "one" else "either column or columns"
        yield Fault(f"{place}/column", "missing_field", f"Rule {label}: {item['rule']} needs {wanted}.")
        return
    value = item[given[0]]
    names = [value] if given == ["column"] else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        yield Fault(f"{place}/{given[0]}", "wrong_type", f"Rule {label}: {given[0]} must name columns of the dataset.")
    elif len(set(names)) < len(names):
        yield Fault(f"{place}/columns", "wrong_type", f"Rule {label}: columns names a column twice.")


def _option_faults(item: dict[str, Any], place: str, label: str, kind: Kind) -> Iterator[Fault]:
    known = (*_COMMON, "column", "columns", *kind.options)
    for key in map(str, item):
        if key not in known:
            end = did_you_mean(key, known)
            yield Fault(f"{place}/{key:.80}", "unknown_field", f"Rule {label}: {item['rule']} takes no {key:.80}{end}")
    for key in kind.needs:
        if item.get(key) is None:
            yield Fault(f"{place}/{key}", "missing_field", f"Rule {label}: {item['rule']} needs {key}.")
    if kind.needs_one and all(item.get(key) is None for key in kind.needs_one):
        message = f"Rule {label}: {item['rule']} needs {' or '.join(kind.needs_one)}."
        yield Fault(f"{place}/{kind.needs_one[0]}", "missing_field", message)
    faults = list(_value_faults(item, place, label, kind))
    yield from faults or _order_faults(item, place, label)


def _value_faults(item: dict[str, Any], place: str, label: str, kind: Kind) -> Iterator[Fault]:
    for key, option in kind.options.items():
        wanted = None if item.get(key) is None else option(item[key])
        if wanted is not None:
            code = "bad_bound" if key in ("minimum", "maximum") else "wrong_type"
            yield Fault(f"{place}/{key}", code, f"Rule {label}: {key} must be {wanted}, not {item[key]!r:.80}.")


def _order_faults(item: dict[str, Any], place: str, label: str) -> Iterator[Fault]:
    low, high = item.get("minimum"), item.get("maximum")
    if low is None or high is None:
        return
    if bounds.is_number(low) != bounds.is_number(high):
        message = f"Rule {label}: minimum and maximum must both be numbers, or both be dates."
        yield Fault(f"{place}/maximum", "bad_bound", message)
    elif bounds.order_of(low) > bounds.order_of(high):
        yield Fault(f"{place}/maximum", "bad_bound", f"Rule {label}: the minimum {low} is above the maximum {high}.")


def _rule(item: dict[str, Any], index: int) -> Rule:
    kind = KINDS[item["rule"]]
    columns = (item["column"],) if "column" in item else tuple(item.get("columns", ()))
    options = {key: item[key] for key in kind.options if item.get(key) is not None}
    return Rule(
        id=item.get("id", f"r{index + 1}"),
        kind=item["rule"],
        name=item.get("name") or title_of(kind, columns, options),
        severity=item.get("severity", "error"),
        threshold=item.get("threshold", 0),
        message=item.get("message", ""),
        columns=columns,
        options=options,
    )


def title_of(kind: Kind, columns: tuple[str, ...], options: dict[str, Any]) -> str:
    """The rule as a sentence."""
    shown = {"when": "always", **{key: _shown(v) for key, v in options.items()}}
    names = ", ".join(columns)
    return _ranged(kind.title, options).format_map({"column": names, "columns": names, **shown})[:500]


def violation_of(rule: Rule, value: str) -> str:
    """What is said of one value that breaks the rule."""
    if rule.message:
        return rule.message
    shown = {key: _shown(v) for key, v in rule.options.items()}
    return _ranged(KINDS[rule.kind].violation, rule.options).format_map({"value": value, **shown})[:500]


def _ranged(sentence: str, options: dict[str, Any]) -> str:
    """The sentence, which names a range, where there is but one end of it."""
    missing = [key for key in ("minimum", "maximum") if key not in options]
    if len(missing) != 1:
        return sentence
    end = "at most {maximum}" if missing == ["minimum"] else "at least {minimum}"
    for range_ in ("from {minimum} to {maximum}", "between {minimum} and {maximum}", "{minimum} to {maximum}"):
        sentence = sentence.replace(range_, end)
    return sentence


def _shown(value: Any) -> str:
    if isinstance(value, list):
        text = ", ".join(str(item) for item in value[:8])
        return f"{text}, …" if len(value) > 8 else text
    return str(value)
