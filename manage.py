#!/usr/bin/env python
"""Django's command line, with the embedded servers running around whatever needs them."""

import os
import sys
from contextlib import AbstractContextManager, nullcontext

# These read code only; `up` runs the servers itself.
WITHOUT_SERVERS = {
    "check",
    "collectstatic",
    "compilemessages",
    "diffsettings",
    "findstatic",
    "help",
    "makemessages",
    "startapp",
    "startproject",
    "up",
    "version",
}


def main(arguments: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        from django.core.management import execute_from_command_line

        from config.embedded import EmbeddedError
    except ImportError as error:
        sys.exit(f"{error}: run `make run` once, or use the Python in .venv/bin.")
    try:
        with servers_for(arguments[1:]):
            execute_from_command_line(arguments)
    except EmbeddedError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def servers_for(arguments: list[str]) -> AbstractContextManager[None]:
    from config.embedded import serving

    needs_none = not arguments or arguments[0].startswith("-") or arguments[0] in WITHOUT_SERVERS
    return nullcontext() if needs_none or {"-h", "--help"} & set(arguments) else serving()


if __name__ == "__main__":
    main(sys.argv)
