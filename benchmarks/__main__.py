"""All benchmarks in turn, or the one that is named, with its options: `make bench ARGS="imports --rows 10000000"`."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("followers", "imports", "formats", "validations", "migrations", "calculations")


def main(arguments: list[str]) -> int:
    name, *options = arguments or [""]
    if name and name not in NAMES:
        print(f"There is no benchmark '{name}'; there are {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    # Each in a process of its own: what one imported must not count in the next one's memory.
    commands = [[sys.executable, "-m", f"benchmarks.{each}", *options] for each in ([name] if name else NAMES)]
    return max(subprocess.run(command, check=False).returncode for command in commands)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
