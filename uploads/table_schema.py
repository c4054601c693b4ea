"""A Table Schema: what the columns of a file must be, each row by itself.

The words are Frictionless Data's, versions 1 and 2. What only the whole file can tell (`unique`, `primaryKey`,
`foreignKeys`) belongs to a validation of the dataset, and is refused here by its name, as is whatever is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .schema_constraints import WORDS, constraint, nearest, refusal, refuse_contradiction, refuse_unknown

TYPES = ("string", "integer", "number", "boolean", "date", "datetime")
#: What a string may be besides any: close to what people mean, not every rule of the standards.
STRING_FORMATS = {
    "email": r"^[^@\s]+@[^@\s]+\.[^@\s.]+$",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s]+$",
    "uuid": r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
}
_MATCHES = ("exact", "equal", "subset")
_OF_TYPE = {
    "number": ("decimalChar", "groupChar"),
    "integer": ("groupChar",),
    "boolean": ("trueValues", "falseValues"),
}


@dataclass(frozen=True)
class Field:
    """One column: its type, how its text is read, and what its values must fulfil."""

    type: str = "string"
    format: str = "default"
    constraints: Mapping[str, Any] = field(default_factory=dict)
    #: `decimalChar`, `groupChar`, `trueValues`, `falseValues`
    reading: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Schema(Mapping[str, Field]):
    """The columns that must be something; all others are free, and their types are found in their values."""

    fields: Mapping[str, Field] = field(default_factory=dict)
    missing_values: tuple[str, ...] = ("",)

    def __getitem__(self, name: str) -> Field:
        return self.fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    @property
    def types(self) -> dict[str, str]:
        return {name: column.type for name, column in self.fields.items()}

    @classmethod
    def of_types(cls, types: Mapping[str, str]) -> Schema:
        return cls({name: Field(kind) for name, kind in types.items()})

    def to_json(self) -> dict[str, Any]:
        return {"fields": {name: vars(column) for name, column in self.items()}, "missing": list(self.missing_values)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Schema:
        return cls({name: Field(**column) for name, column in stored["fields"].items()}, tuple(stored["missing"]))


def read(descriptor: Any, columns: Sequence[str]) -> Schema:
    """The schema for a file with these columns. Raises Refusal with the JSON pointer of what is wrong in `details`."""
    if not isinstance(descriptor, dict) or not isinstance(descriptor.get("fields"), list):
        raise refusal("bad_schema", "", "A Table Schema is an object with a list of 'fields'.")
    allowed = ("fields", "missingValues", "fieldsMatch", *WORDS)
    refuse_unknown(descriptor, allowed, "", "A Table Schema")
    fields: dict[str, Field] = {}
    for index, column in enumerate(descriptor["fields"]):
        name = column.get("name") if isinstance(column, dict) else None
        if not isinstance(name, str) or not name:
            raise refusal("bad_schema", f"/fields/{index}", f"Field {index + 1} has no name.")
        if name in fields:
            raise refusal("bad_schema", f"/fields/{index}/name", f"Two fields are named '{name}'.")
        fields[name] = _field(column, f"/fields/{index}")
    missing_values = _missing_values(descriptor.get("missingValues", [""]))
    _match(list(fields), columns, descriptor.get("fieldsMatch", "exact"))
    return Schema(fields, missing_values)


def _match(named: list[str], columns: Sequence[str], wanted: Any) -> None:
    """By default a file has the fields of its schema and no others, in that order, as the standard says."""
    if isinstance(wanted, list):
        wanted = wanted[0] if wanted else "exact"
    if wanted not in _MATCHES:
        raise refusal("unsupported_schema", "/fieldsMatch", f"fieldsMatch is one of {', '.join(_MATCHES)}.")
    known = set(columns)
    for index, name in enumerate(named):
        if name not in known:
            raise refusal(
                "unknown_column", f"/fields/{index}/name", f"The file has no column '{name}'.{nearest(name, columns)}"
            )
    surplus = [name for name in columns if name not in named]
    if wanted != "subset" and surplus:
        text = f"The schema has no field for the column '{surplus[0]}'; name it, or set fieldsMatch to subset."
        raise refusal("schema_mismatch", "/fields", text)
    if wanted == "exact" and named != list(columns):
        index = next(i for i, (ours, theirs) in enumerate(zip(named, columns, strict=True)) if ours != theirs)
        text = f"Column {index + 1} of the file is '{columns[index]}', of the schema '{named[index]}'; "
        raise refusal("schema_mismatch", f"/fields/{index}", text + "order them alike, or set fieldsMatch to equal.")


def _missing_values(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise refusal("unsupported_schema", "/missingValues", "missingValues is a list of texts.")
    if "" not in values:
        text = 'missingValues must hold "": an empty value is always missing here.'
        raise refusal("unsupported_schema", "/missingValues", text)
    return tuple(values)


def _field(column: dict[str, Any], at: str) -> Field:
    kind = column.get("type", "string")
    if kind not in TYPES:
        raise refusal("unknown_type", f"{at}/type", f"'{kind}' is no type; the types are {', '.join(TYPES)}.")
    own = _OF_TYPE.get(kind, ())
    refuse_unknown(column, ("type", "format", "constraints", "missingValues", *own, *WORDS), at, f"A {kind} field")
    if "missingValues" in column:
        raise refusal("unsupported_schema", f"{at}/missingValues", "missingValues stands beside fields, for all.")
    reading = {name: _reading(name, column[name], f"{at}/{name}") for name in own if name in column}
    constraints = column.get("constraints", {})
    if not isinstance(constraints, dict):
        raise refusal("bad_schema", f"{at}/constraints", "The constraints are an object.")
    checked = {name: constraint(kind, name, value, f"{at}/constraints/{name}") for name, value in constraints.items()}
    refuse_contradiction(checked, f"{at}/constraints")
    if "groupChar" in reading and reading["groupChar"] == reading.get("decimalChar", "."):
        text = f"groupChar and decimalChar are both '{reading['groupChar']}'; give each its own."
        raise refusal("bad_schema", f"{at}/groupChar", text)
    return Field(kind, _format(kind, column.get("format", "default"), f"{at}/format"), checked, reading)


def _format(kind: str, wanted: Any, at: str) -> str:
    known = tuple(STRING_FORMATS) if kind == "string" else ()
    is_pattern = kind in ("date", "datetime") and isinstance(wanted, str) and "%" in wanted
    if wanted == "default" or wanted in known:
        return str(wanted)
    if not is_pattern:
        patterns = " or a pattern such as %d/%m/%Y" if kind in ("date", "datetime") else ""
        text = f"The format of a {kind} is {', '.join(('default', *known))}{patterns}, not '{wanted}'."
        raise refusal("unsupported_schema", at, text)
    try:
        datetime.strptime(datetime(2001, 2, 3, tzinfo=UTC).strftime(wanted), wanted)
    except ValueError as error:
        raise refusal("unsupported_schema", at, f"'{wanted}' is no pattern of a date: {error}.") from None
    return str(wanted)


def _reading(name: str, value: Any, at: str) -> Any:
    if name.endswith("Values"):
        if isinstance(value, list) and value and all(isinstance(text, str) and text for text in value):
            return value
        raise refusal("bad_schema", at, f"{name} is a list of texts.")
    if isinstance(value, str) and len(value) == 1 and not value.isalnum() and value not in "+-":
        return value
    raise refusal("bad_schema", at, f"{name} is one character, and no letter, digit or sign.")
