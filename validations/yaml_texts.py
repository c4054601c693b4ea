"""YAML from strangers as plain data. Pure."""

from __future__ import annotations

from typing import Any

import yaml

from .faults import BadRules, Fault

MAX_YAML_CHARACTERS = 256 * 1024


def from_yaml(text: str, *, base: str = "/rules_yaml") -> Any:
    """The list of rules in a YAML text, or under its key `rules`. Raises BadRules."""
    value = load_yaml(text, base=base)
    return value["rules"] if isinstance(value, dict) and "rules" in value else value


def load_yaml(text: str, *, base: str) -> Any:
    """Plain YAML data: dates stay text, aliases (which can grow a small text without end) are refused."""
    if len(text) > MAX_YAML_CHARACTERS:
        raise BadRules([Fault(base, "bad_yaml", f"The YAML has more than {MAX_YAML_CHARACTERS:,} characters.")])
    try:
        return yaml.load(text, Loader=_PlainLoader)  # a SafeLoader, of which something is taken away
    except RecursionError:
        raise BadRules([Fault(base, "bad_yaml", "The YAML is nested too deeply.")]) from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise BadRules([Fault(base, "bad_yaml", f"This is no YAML{place}: {problem}.")]) from None


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
