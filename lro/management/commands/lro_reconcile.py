"""`manage.py lro_reconcile`: the reconciler in the foreground, for who wants it apart from the workers."""

from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ...models import Duty
from ...runtime.reconciler import CHORES, Reconciler, reconcile
from ...runtime.resources import take_up_again


class Command(BaseCommand):
    help = "Put right what crashes left behind: every few seconds until Ctrl-C, or once."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once",
            action="store_true",
            help="one round, also of what was given up; say what it did",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            take_up_again()
            done, so_far = reconcile(), Duty.objects.in_bulk()
            for duty, count in done.items():
                known = so_far.get(duty)
                since = f"   {known.done:,} so far, last at {known.last_done_at:%Y-%m-%d %H:%M:%S}" if known else ""
                self.stdout.write(f"{duty:<16} {count}{since}")
            return
        chores = Reconciler(CHORES, name="lro-chores")
        reconciler = Reconciler(then=chores)
        chores.start()
        signal.signal(signal.SIGTERM, lambda *_: reconciler.stop())
        self.stderr.write("Reconciling until Ctrl-C.", style_func=str)
        try:
            reconciler.run()
        except KeyboardInterrupt:
            self.stderr.write("Stopped.", style_func=str)
