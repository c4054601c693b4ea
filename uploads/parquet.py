"""The look at a Parquet file: its columns, and what of it no dataset can hold. It loads pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .archives import max_unpacked_bytes
from .layout import Layout, check_width, unique_names
from .refusals import Refusal

#: What the footer may take when it is read: a small one can name very much.
_FOOTER = {"thrift_string_size_limit": 2**24, "thrift_container_size_limit": 10**6}
#: A column of a row group may not unpack to more than so many times its size, beyond so many bytes.
_RATIO_FREE_BYTES = 64 * 2**20
_MAX_RATIO = 1000


def open_parquet(path: Path) -> Any:
    """The file, read in small steps; dictionaries stay as they are, since few bytes can stand for very many.

    Raises Refusal `bad_parquet`.
    """
    import pyarrow as pa
    from pyarrow import parquet as pq

    options: dict[str, Any] = {"pre_buffer": False, "buffer_size": 2**16, "memory_map": False, **_FOOTER}
    try:
        with pq.ParquetFile(path, **options) as file:
            names = set(file.schema_arrow.names) & _dictionaries(file.metadata)
        return pq.ParquetFile(path, read_dictionary=sorted(names), **options)
    except (pa.ArrowException, OSError) as error:
        raise bad_parquet(error) from None


def bad_parquet(error: Exception) -> Refusal:
    words = " ".join(str(error).split())[:300].rstrip(".")
    return Refusal("bad_parquet", f"The Parquet file cannot be read: {words}.")


def inspect(path: Path) -> Layout:
    """Raises Refusal `bad_parquet`, `unsafe_parquet`, `too_many_columns`, `header_invalid`."""
    with open_parquet(path) as file:
        _check_sizes(file.metadata)
        schema = file.schema_arrow
        check_width(len(schema))
        if not len(schema):
            raise Refusal("header_invalid", "The file has no columns.")
        names, warnings = unique_names(schema.names)
        said = (*warnings, *(_warning(one) for one in schema if _is_finer(one.type)))
    return Layout("parquet", "utf-8", "", "", names, 0, 1, said)


def has_nested_dictionaries(file: Any) -> bool:
    """Whether texts below lists or structs have dictionaries, which cannot be left as they are."""
    return bool(_dictionaries(file.metadata) - set(file.schema_arrow.names))


def _dictionaries(metadata: Any) -> set[str]:
    """The paths of the columns of which some row group holds a dictionary of texts."""
    names = set()
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            if column.physical_type == "BYTE_ARRAY" and column.has_dictionary_page:
                names.add(column.path_in_schema)
    return names


def _check_sizes(metadata: Any) -> None:
    total = 0
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            size = column.total_uncompressed_size
            total += size
            if size > max(_RATIO_FREE_BYTES, _MAX_RATIO * column.total_compressed_size):
                place = f"column {column.path_in_schema} of row group {group}"
                raise Refusal("unsafe_parquet", f"The file is refused: {place} unpacks to {size:,} bytes.")
    limit = max_unpacked_bytes()
    if total > limit:
        raise Refusal(
            "unsafe_parquet",
            f"The file is refused: it unpacks to {total:,} bytes, more than the {limit:,} that are allowed.",
        )


def _is_finer(kind: Any) -> bool:
    return str(kind).startswith("timestamp[ns")


def _warning(column: Any) -> str:
    return f"The times of column {column.name} are kept to the microsecond."
