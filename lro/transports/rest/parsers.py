"""JSON from strangers: bounded in size and depth, and without what the database cannot store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from ...conf import conf
from ...exceptions import Problem
from ...storable import is_text


class BoundedJSONParser(JSONParser):
    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        limit = conf().input_max_bytes
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise Problem(413, "input_too_large", f"The input has more than the {limit:,} bytes that are allowed.")
        try:
            value = json.loads(body, parse_constant=_refuse_constant)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}") from None
        if "\0" in body.decode(errors="replace") or b"\\u0000" in body:
            raise ParseError("The JSON contains U+0000, which cannot be stored.")
        if b"\\u" in body and not is_text(json.dumps(value, ensure_ascii=False)):
            raise ParseError("The JSON contains half of a surrogate pair, which cannot be stored.")
        return value


def _refuse_constant(name: str) -> None:
    raise ParseError(f"{name} is not JSON.")
