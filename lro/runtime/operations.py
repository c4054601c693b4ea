"""The base class of all operations: its empty hooks are its documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rest_framework.serializers import Serializer

from ..conf import conf

if TYPE_CHECKING:
    from ..models import Operation
    from .context import OperationContext


class OperationTask:
    """One kind of long-running work. Register a subclass and write `run`.

    One instance lives for one attempt. `run` may be called again with the same input after a crash: read
    `op.cursor`, the value that the last `op.checkpoint` saved, and go on from there.
    """

    name: ClassVar[str] = ""
    #: A DRF serializer of the request; without one, any JSON object is accepted.
    input_serializer: ClassVar[type[Serializer[Any]] | None] = None
    #: Inputs that only `run` may see, as "api_key" or "source.password": they are masked wherever the input is shown.
    #: A serializer's field with `style={"input_type": "password"}` is one by itself; `prepare` leaves both in place.
    secrets: ClassVar[tuple[str, ...]] = ()
    #: A DRF serializer that tells readers of the schema what `run` returns; nothing is checked by it.
    result_serializer: ClassVar[type[Serializer[Any]] | None] = None
    #: Bad endings in a row, without a checkpoint between them, until the operation fails for good.
    max_attempts: ClassVar[int | None] = None
    queue: ClassVar[str] = "default"
    #: Seconds: until the first claim; of one attempt; without progress in an attempt; from submission to the end. An
    #: attempt that is too long, or stalls, is ended and tried again; what is not claimed or done in time expires.
    queue_timeout: ClassVar[float | None] = None
    attempt_timeout: ClassVar[float | None] = None
    max_stall: ClassVar[float | None] = None
    deadline: ClassVar[float | None] = None
    #: Seconds after a cancel or a pause in which `run` may stop by itself; then its process is killed.
    cancel_grace: ClassVar[float | None] = None
    #: How many of one owner may be under way at once; None leaves it to the project's `MAX_ACTIVE_PER_OWNER`.
    max_active_per_owner: ClassVar[int | None] = None
    #: At most one at a time on the resource that `flight_key` names: a second one is queued behind the first
    #: ("queue"), refused ("reject"), or cancels it and takes its place ("replace").
    single_flight: ClassVar[Literal["queue", "reject", "replace"] | None] = None
    #: A permission that the caller must have, as `app.codename`; None admits every authenticated user.
    permission: ClassVar[str | None] = None
    #: Only other operations start it, as their child: no request, form or command does.
    is_internal: ClassVar[bool] = False

    @classmethod
    def prepare(cls, data: dict[str, Any], owner: Any) -> dict[str, Any]:
        """In the request, before the operation exists: turn valid data into the JSON input of `run`.

        Resolve references for `owner` here, and raise DRF's `ValidationError` for what cannot be accepted.
        """
        return data

    @classmethod
    def admit(cls, prepared: dict[str, Any], owner: Any) -> None:
        """Asked before a new operation is recorded: raise `Problem` (409) where it cannot begin as things are now.

        What can be said of the input alone belongs into the serializer and `prepare`. A request that repeats another
        by its idempotency key gets the same answer, and is not asked.
        """

    @classmethod
    def discard(cls, prepared: dict[str, Any]) -> None:
        """Undo `prepare`, where the operation was not created after all."""

    @classmethod
    def forget(cls, operation: Operation) -> None:
        """The operation is deleted: delete what only it needed.

        Its row is gone: `operation` is a memory of its id, owner, state, input and result. Called again where it was
        killed or raised, and perhaps in a worker's main process, so import nothing here that a fork does not survive.
        """

    @classmethod
    def identity(cls, prepared: dict[str, Any]) -> Any:
        """What makes two requests the same for an idempotency key; by default the whole input."""
        return prepared

    @classmethod
    def tags(cls, prepared: dict[str, Any]) -> list[str]:
        """Words by which the operation is found later, as `GET /operations/?tag=`: shown to who may see it."""
        return []

    @classmethod
    def reconsider(cls, operation: Operation, verb: str) -> None:
        """A person asks to `resume` or `retry` it: raise `Problem` (409) where that must not be, or not yet.

        A worker that goes on after a crash does not ask.
        """

    @classmethod
    def flight_key(cls, prepared: dict[str, Any]) -> str | None:
        """Which resource `single_flight` guards; by default the class as a whole. None lets this one run freely."""
        return ""

    def run(self, op: OperationContext, *args: Any, **data: Any) -> Any:
        """Do the work and return its result as JSON data."""
        raise NotImplementedError(f"{type(self).__name__} must define run(self, op, …)")

    @classmethod
    def attempts(cls) -> int:
        return cls.max_attempts or conf().max_attempts
