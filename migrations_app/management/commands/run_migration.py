"""`manage.py run_migration NAME`: start a data migration and watch it; or go on with a run that was stopped."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser

from lro.management.cli import arguments, starting, words
from lro.management.cli.exits import Exit, ending
from lro.management.cli.people import Actor, actor
from lro.management.commands.lro import Command as OperationsCommand
from lro.runtime.control import VERBS

from ... import history, registry


class Command(OperationsCommand):
    help = "Run a data migration, and watch it. Ctrl-C leaves it running."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="as contacts.split; `list_migrations` shows them")
        parser.add_argument("--dry-run", action="store_true", help="do everything, and roll it back again")
        parser.add_argument("--param", dest="given", action="append", default=[], metavar="NAME=VALUE")
        parser.add_argument("--step", dest="steps", action="append", default=[], metavar="STEP", help="only this step")
        parser.add_argument("--shards", type=int, default=1, metavar="N", help="key ranges at the same time")
        parser.add_argument("--max-errors", type=int, metavar="N", help="more failed records end the run")
        parser.add_argument("--pause", type=float, metavar="SECONDS", help="between two batches")
        parser.add_argument("--reverse", metavar="ID", help="undo this run")
        parser.add_argument("--retry-rejects", metavar="ID", help="only the records that this run rejected")
        parser.add_argument("--confirm-code-change", action="store_true", help="though the code is another one by now")
        parser.add_argument("--resume", metavar="ID", help="go on with a run that was paused, cancelled or has failed")
        parser.add_argument("--detach", action="store_true", help="print the id and leave")
        arguments.follower(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        who = actor(options["user"])
        if options["resume"]:
            self._resume(who, options)
        elif options["name"]:
            self._start(who, {**options, **self._request(options)})
        else:
            raise ending(Exit.USAGE, "Say which data migration, or --resume ID. `list_migrations` shows them.")

    def _request(self, options: dict[str, Any]) -> dict[str, Any]:
        """The same input as `POST /migrations/run` takes, as `lro start` takes it."""
        migration = registry.find(options["name"])
        fields = dict(migration.parameters().fields) if migration and migration.parameters else {}
        data = {"parameters": dict(starting.parameter(pair, fields) for pair in options["given"])}
        names = ("steps", "dry_run", "shards", "max_errors", "pause", "reverse", "retry_rejects", "confirm_code_change")
        data |= {name: options[name] for name in names if options[name] or options[name] == 0}
        pairs = [f"migration={options['name']}", *(f"{name}={_text(value)}" for name, value in data.items())]
        return {"name": history.NAME, "parameters": pairs, "input_path": None, "file_path": None}

    def _resume(self, who: Actor, options: dict[str, Any]) -> None:
        operation = who.find(options["resume"])
        if operation.name != history.NAME:
            raise ending(Exit.USAGE, f"{words.label(operation)} is no run of a data migration.")
        if options["name"] and operation.input["migration"] != options["name"]:
            raise ending(Exit.USAGE, f"{words.label(operation)} is a run of {operation.input['migration']}.")
        verb = next((verb for verb in ("resume", "retry") if operation.state in VERBS[verb]), None)
        if verb is not None:
            operation = who.act(verb, operation)
        if options["detach"]:
            self.stdout.write(str(operation.pk))
        else:
            self._follow([operation], options)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
