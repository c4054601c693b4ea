"""`manage.py lro <verb>`: start, follow and steer operations from a shell."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper

from ...models import Operation
from ...runtime.control import VERBS
from ...transports import payloads
from ..cli import arguments, listing, starting, watching, words
from ..cli.display import Display, JsonLines, LogLines, for_stream
from ..cli.exits import Exit, ending
from ..cli.people import Actor, actor


class Command(BaseCommand):
    help = "Start, watch and steer long-running operations."
    requires_system_checks = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"no_color": bool(os.environ.get("NO_COLOR")), **kwargs})

    def add_arguments(self, parser: CommandParser) -> None:
        arguments.declare(parser)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """As ever, but a person reads the sentence without the name of an exception before it."""
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            if not getattr(self, "_called_from_command_line", False) or options["traceback"]:
                raise
            self.stderr.write(str(error))
            sys.exit(error.returncode)

    def handle(self, *args: Any, **options: Any) -> None:
        verb = options["verb"]
        who = actor(options.get("user"))
        if verb in VERBS:
            self._act(verb, who, options)
        else:
            getattr(self, f"_{verb}")(who, options)

    # Verbs

    def _start(self, who: Actor, options: dict[str, Any]) -> None:
        operation = starting.start(options["name"], options, who.owner())
        if options["detach"]:
            self.stdout.write(str(operation.pk))
            return
        self.stderr.write(f"{operation.name} {operation.pk}", style_func=str)
        self._follow([operation], options)

    def _watch(self, who: Actor, options: dict[str, Any]) -> None:
        self._follow([who.find(text) for text in options["ids"]], options)

    def _follow(self, operations: list[Operation], options: dict[str, Any]) -> None:
        ended = watching.Watch(operations, self._display(options["json"]), timeout=options["timeout"]).run()
        for row in ended:
            if row.result is not None and not options["json"]:
                self.stdout.write(listing.as_json(row.result))
        watching.conclude(ended)

    def _list(self, who: Actor, options: dict[str, Any]) -> None:
        rows = who.visible().order_by("-pk")
        if options["state"]:
            rows = rows.filter(state__in=options["state"])
        if options["name"]:
            rows = rows.filter(name=options["name"])
        found = list(rows[: max(0, options["limit"])])
        resources = (listing.as_json(payloads.operation(row)) for row in found)
        self._write(resources if options["json"] else listing.table(found))

    def _show(self, who: Actor, options: dict[str, Any]) -> None:
        row = who.find(options["ids"][0])
        self._write([listing.as_json(payloads.operation(row))] if options["json"] else listing.facts(row))

    def _log(self, who: Actor, options: dict[str, Any]) -> None:
        row = who.find(options["ids"][0])
        out, notes = _stream(self.stdout), _stream(self.stderr)
        lines = JsonLines(out, notes) if options["json"] else LogLines(out, notes)
        if options["follow"]:
            watching.Watch([row], lines).run()
        else:
            for event in row.events.iterator(chunk_size=500):
                lines.update(row, [event])

    def _act(self, verb: str, who: Actor, options: dict[str, Any]) -> None:
        rows = [who.find(text) for text in options["ids"]]
        if (
            len(rows) > 1
            and not options["yes"]
            and not self._is_confirmed(f"{verb.capitalize()} {len(rows)} operations?")
        ):
            raise ending(Exit.USAGE, "Nothing was done.")
        extra = {"source": options["source"]} if verb == "retry" else {}
        for row in rows:
            after = who.act(verb, row, **extra)
            self.stdout.write(f"{words.label(after)} {after.state}")

    def _prune(self, who: Actor, options: dict[str, Any]) -> None:
        rows = who.prunable(options["older_than"]).order_by("pk")
        count = rows.count()
        if options["dry_run"]:
            shown = (listing.as_json(payloads.operation(row)) for row in rows.iterator(chunk_size=500))
            self._write(shown if options["json"] else [f"{count} operations would be deleted."])
            return
        if count and not options["yes"] and not self._is_confirmed(f"Delete {count} operations for good?"):
            raise ending(Exit.USAGE, "Nothing was deleted.")
        deleted = sum(who.delete(row) for row in rows.iterator(chunk_size=500))
        self.stdout.write(
            listing.as_json({"deleted": deleted}) if options["json"] else f"{deleted} operations deleted."
        )

    def _operations(self, who: Actor, options: dict[str, Any]) -> None:
        known = list(listing.names())
        width = max((len(each["name"]) for each in known), default=0)
        lines = (words.joined(each["name"].ljust(width), each["about"], " ".join(each["parameters"])) for each in known)
        self._write((listing.as_json(each) for each in known) if options["json"] else lines)

    def _doctor(self, who: Actor, options: dict[str, Any]) -> None:
        findings = listing.examine()
        for finding in findings:
            self.stdout.write(listing.as_json(listing.found(finding)) if options["json"] else self._finding(finding))
        bad = sum(not finding.is_good for finding in findings)
        if bad:
            raise ending(Exit.FAILED, f"{bad} of {len(findings)} checks found something wrong.")

    # Speaking

    def _finding(self, finding: Any) -> str:
        if finding.is_good:
            return f"{self.style.SUCCESS('good')}  {finding.name}"
        return f"{self.style.ERROR('bad ')}  {finding.name}: {finding.problem}\n      {finding.remedy}"

    def _display(self, is_json: bool) -> Display:
        notes = _stream(self.stderr)
        return JsonLines(_stream(self.stdout), notes) if is_json else for_stream(notes)

    def _is_confirmed(self, question: str) -> bool:
        """Asked only where somebody can answer: a script that names them has decided."""
        if not sys.stdin.isatty():
            return True
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")

    def _write(self, lines: Any) -> None:
        for line in lines:
            self.stdout.write(line)


def _stream(wrapper: OutputWrapper) -> TextIO:
    """What Django wraps: rich and JSON lines bring their own line ends."""
    return cast(TextIO, getattr(wrapper, "_out", wrapper))
