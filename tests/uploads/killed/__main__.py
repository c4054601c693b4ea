"""Kill the worker's process at random instants of an import, and compare what is left with an unhurt one.

`python -m tests.uploads.killed --rows 1000000 --kills 10 [--parallel 2]`
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

from tests.uploads.generator import write_dirty_csv


def main(arguments: list[str]) -> int:
    from tests.end_to_end.stack import running
    from tests.uploads.killed.comparing import compare

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="lro-killed-") as folder, running() as stack:
        path = Path(folder, "dirty.csv")
        truth = write_dirty_csv(path, options.rows)
        kind = {"parallel": str(options.parallel)}
        whole, found, wrong = compare(stack, path, truth, options.kills, options.seed, **kind)
    print(f"{whole.rows:,} rows {whole.content[:16]}, {whole.rejected:,} rejects {whole.rejects[:16]}")
    again = ", ".join(f"{blocks:.2f}" for blocks in found.repeated)
    print(f"{found.kills} kills in {found.seconds:.0f} s; blocks read again: {again}")
    print("; ".join(wrong) or "the same, byte for byte")
    return 1 if wrong else 0


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    sys.exit(main(sys.argv[1:]))
