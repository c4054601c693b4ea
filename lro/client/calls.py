"""The REST calls, as steps: what is asked, tried again, and made of the answers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import random
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from . import resources
from .backoff import full_jitter, retry_after
from .bodies import Destination, Upload
from .effects import Answer, Give, Renew, Send, Sleep, Steps
from .errors import InvalidAnswer, Problem, SignedOut, Unreachable
from .resources import Artifact, Event, Operation
from .tokens import TokenKeeper

_TRY_AGAIN = frozenset({502, 503, 504})
_PAGE = 500


@dataclass
class Calls:
    """`patience` is for how long, in seconds, a request is tried again; `timeout` how long one try may take."""

    keeper: TokenKeeper
    patience: float = 120.0
    timeout: float = 30.0
    clock: Callable[[], float] = monotonic
    random: Callable[[], float] = field(default=random)

    # Asking

    def request(self, call: Send) -> Steps[Answer]:
        """The answer, if it is a good one. Raises `Problem`, `Unreachable` and `SignedOut`."""
        token = yield from self.token()
        answer = yield from self._persist(_authorised(call, token))
        if answer.status == 401:
            token = yield Renew(token)
            answer = yield from self._persist(_authorised(call, token))
            if answer.status == 401:
                raise SignedOut("The server does not take the token that it has just given.")
        return _checked(answer)

    def token(self) -> Steps[str]:
        """An access token that lives long enough to be used."""
        token = self.keeper.access
        if self.keeper.is_due:
            token = yield Renew(token)
        return token

    def renew(self, stale: str) -> Steps[str]:
        """Another token in place of the stale one; only one caller at a time may be here."""
        if self.keeper.is_replaced(stale):
            return self.keeper.access
        for path, body in self.keeper.ways():
            answer = yield from self._persist(Send("POST", path, json=body))
            if answer.status not in (400, 401):
                return self.keeper.keep(_checked(answer).json())
        raise SignedOut("The server takes neither the refresh token nor the password.")

    def _persist(self, call: Send) -> Steps[Answer]:
        """Try again what did not reach the server, or came at a bad time, until the patience is over."""
        call = replace(call, seconds=self.timeout)
        failures, give_up_at = 0, self.clock() + self.patience
        while True:
            pause = full_jitter(failures, self.random, base=0.5, cap=10.0)
            try:
                answer: Answer = yield call
            except Unreachable:
                if self.clock() + pause > give_up_at:
                    raise
            else:
                pause = retry_after(answer.headers.get("retry-after")) or pause
                if answer.status not in _TRY_AGAIN or self.clock() + pause > give_up_at:
                    return replace(answer, tries=failures + 1)
            failures += 1
            yield Sleep(pause)

    # Starting, reading, controlling

    def start(
        self, name: str, given: Any, files: Mapping[str, Upload] | None, idempotency_key: str | None
    ) -> Steps[Operation]:
        module, _, operation = name.partition(".")
        call = Send("POST", f"/{quote(module, safe='')}/{quote(operation, safe='')}")
        call = call.with_headers(**{"Idempotency-Key": f'"{idempotency_key or uuid.uuid4()}"'})
        if files:
            call = replace(call, form=_form(given or {}), files=files)
        else:
            call = replace(call, json={} if given is None else given)
        answer = yield from self.request(call)
        return resources.operation(answer.json())

    def get(self, operation: str) -> Steps[Operation]:
        answer = yield from self.request(Send("GET", _path(operation)))
        return resources.operation(answer.json())

    def act(self, operation: str, verb: str, body: Any = None) -> Steps[Operation]:
        answer = yield from self.request(Send("POST", _path(operation, verb), json=body or {}))
        return resources.operation(answer.json())

    def delete(self, operation: str) -> Steps[None]:
        """A lost answer may have been the good one: to find nothing the second time is what was wanted."""
        try:
            yield from self.request(Send("DELETE", _path(operation)))
        except Problem as problem:
            if problem.status != 404 or problem.tries == 1:
                raise

    def events_page(self, operation: str, after: int) -> Steps[tuple[tuple[Event, ...], bool]]:
        """The stored events after a sequence, in order, and whether these are the last."""
        query = {"after": after, "limit": _PAGE}
        answer = yield from self.request(Send("GET", _path(operation, "events/"), query))
        page = _object(answer)
        events = tuple(resources.event(raw) for raw in page["results"])
        return events, not events or page.get("next_after") is None

    def events(self, operation: str, after: int) -> Steps[None]:
        is_last = False
        while not is_last:
            events, is_last = yield from self.events_page(operation, after)
            for event in events:
                yield Give(event)
                after = event.sequence

    def pages(self, path: str, query: Mapping[str, Any], parse: Callable[[Any], Any]) -> Steps[None]:
        """Each result of each page; of the link to the next one only its query counts, whatever host it names."""
        more: Mapping[str, Any] | None = query
        while more is not None:
            page = _object((yield from self.request(Send("GET", path, more))))
            for raw in page["results"]:
                yield Give(parse(raw))
            following = page.get("next")
            more = dict(parse_qsl(urlsplit(following).query)) if following else None

    def list(self, filters: Mapping[str, Any]) -> Steps[None]:
        given = {name: value for name, value in filters.items() if value is not None}
        return self.pages("/operations/", given, resources.operation)

    def children(self, operation: str) -> Steps[None]:
        return self.pages(_path(operation, "children/"), {}, resources.operation)

    def rejects(self, operation: str) -> Steps[None]:
        return self.pages(_path(operation, "rejects/"), {}, resources.reject)

    def artifacts(self, operation: str) -> Steps[None]:
        return self.pages(_path(operation, "artifacts/"), {}, lambda raw: resources.artifact(raw, operation))

    def download(self, artifact: Artifact, to: str | Path) -> Steps[Path]:
        path = Path(to)
        if path.is_dir():
            path /= _file_name(artifact)
        call = Send(
            "GET",
            _path(artifact.operation, f"artifacts/{quote(artifact.id, safe='')}"),
            headers={"Accept": "*/*", "Accept-Encoding": "identity"},
            destination=Destination(path, artifact.size, artifact.sha256),
        )
        yield from self.request(call)
        return path


def _path(operation: str, rest: str = "") -> str:
    path = f"/operations/{quote(str(operation), safe='')}"
    return f"{path}/{rest}" if rest else path


def _authorised(call: Send, token: str) -> Send:
    return call.with_headers(Authorization=f"Bearer {token}")


def _checked(answer: Answer) -> Answer:
    if 200 <= answer.status < 300:
        return answer
    try:
        body = answer.json()
    except InvalidAnswer:
        body = None
    body = body if isinstance(body, dict) else {}
    raise Problem(
        answer.status,
        str(body.get("code") or ""),
        str(body.get("detail") or body.get("title") or ""),
        [error for error in body.get("errors") or [] if isinstance(error, dict)],
        retry_after=retry_after(answer.headers.get("retry-after")),
        tries=answer.tries,
    )


def _object(answer: Answer) -> dict[str, Any]:
    page = answer.json()
    if isinstance(page, dict) and isinstance(page.get("results"), list):
        return page
    raise InvalidAnswer("The server's page has no results.")


def _form(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields beside files: an object goes as its JSON."""
    return {name: json.dumps(value) if isinstance(value, dict) else value for name, value in _present(given)}


def _present(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in given.items() if value is not None)


def _file_name(artifact: Artifact) -> str:
    """The last part of the name only: a server must not choose the folder."""
    name = Path(artifact.name.replace("\\", "/")).name
    return artifact.id if name in ("", ".", "..") else name
