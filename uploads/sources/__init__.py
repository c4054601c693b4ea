"""Where the rows of an import come from: one source for each format, which the layout names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..batches import Source
from ..layout import Layout
from .delimited import DelimitedSource


def source_of(path: Path, layout: Layout, types: Mapping[str, str]) -> Source:
    """The rows of the file at `path`, columns of `types` in those types, in a worker only: it loads pyarrow."""
    return DelimitedSource(path, layout, types)
