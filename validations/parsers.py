"""Rule sets sent as YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from .faults import BadRules
from .rule_sets import as_problem
from .yaml_texts import MAX_YAML_CHARACTERS, load_yaml


class YamlParser(BaseParser):
    media_type = "application/yaml"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        text = stream.read(4 * MAX_YAML_CHARACTERS + 1).decode(errors="replace")
        try:
            return load_yaml(text, base="/")
        except BadRules as bad:
            raise as_problem(bad) from None
