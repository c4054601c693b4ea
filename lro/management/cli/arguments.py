"""The verbs of `manage.py lro` and what each takes."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from ...runtime.control import VERBS
from ...states import State


def declare(parser: CommandParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _start(verbs.add_parser("start", help="start an operation and watch it"))
    _watch(verbs.add_parser("watch", help="follow operations until they end"))
    _list(verbs.add_parser("list", help="list the newest operations"))
    _one(verbs.add_parser("show", help="print all about an operation"))
    log = verbs.add_parser("log", help="print the events of an operation")
    log.add_argument("-f", "--follow", action="store_true", help="go on until it ends")
    _one(log)
    for verb in VERBS:
        _act(verbs.add_parser(verb, help=f"{verb} operations"), verb)
    _prune(verbs.add_parser("prune", help="delete finished operations with their files"))
    for name, text in (("operations", "list what can be started"), ("doctor", "check all that operations need")):
        _json(verbs.add_parser(name, help=text))


def _start(parser: Any) -> None:
    parser.add_argument("name", help="as uploads.import; `lro operations` lists them")
    parser.add_argument("--param", dest="parameters", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--file", dest="file_path", metavar="PATH", help="the file that the operation takes")
    parser.add_argument(
        "--input", dest="input_path", metavar="PATH", help="the input as a JSON file; - is standard input"
    )
    parser.add_argument("--detach", action="store_true", help="print the id and leave")
    follower(parser)


def _watch(parser: Any) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="an id, or a piece of its beginning or end")
    follower(parser)


def follower(parser: Any) -> None:
    """What every command takes that watches operations."""
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="leave with exit code 5 after this time")
    _json(parser)
    _user(parser)


def _list(parser: Any) -> None:
    states = [state.value for state in State]
    parser.add_argument("--state", choices=states, action="append", default=[], metavar="STATE", help=", ".join(states))
    parser.add_argument("--name", help="only operations of this name")
    parser.add_argument("--limit", type=int, default=20)
    _json(parser)
    _user(parser)


def _one(parser: Any) -> None:
    parser.add_argument("ids", nargs=1, metavar="ID")
    _json(parser)
    _user(parser)


def _act(parser: Any, verb: str) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    if verb == "retry":
        parser.add_argument("--from", dest="source", choices=["checkpoint", "start"], default="checkpoint")
    _user(parser)


def _prune(parser: Any) -> None:
    text = "that ended so long ago, as 30d, 12h, 45m or 10s; else those past their retention"
    parser.add_argument("--older-than", type=_span, metavar="TIME", help=text)
    parser.add_argument("--dry-run", action="store_true", help="say what would be deleted, and delete nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _json(parser)
    _user(parser)


def _span(text: str) -> timedelta:
    units = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
    if len(text) < 2 or not text[:-1].isdecimal() or text[-1] not in units:
        raise ArgumentTypeError(f"'{text}' is no time; write it as 30d, 12h, 45m or 10s")
    return timedelta(**{units[text[-1]]: int(text[:-1])})


def _json(parser: Any) -> None:
    parser.add_argument("--json", action="store_true", help="JSON lines on standard output")


def _user(parser: Any) -> None:
    parser.add_argument("--as", dest="user", metavar="USER", help="with this user's rights")
