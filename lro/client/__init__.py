"""The Python client: start, follow and control operations from anywhere. It needs no Django.

with Client("https://example.org", username="demo", password="…") as lro:
    operation = lro.start("uploads.import", files={"file": "contacts.csv"})
    for event in lro.follow(operation.id):
        print(event.kind, event.data)
    print(lro.get(operation.id).raise_for_state().result)
"""

from .async_client import AsyncClient
from .errors import ClientError, InvalidAnswer, OperationFailed, Problem, SignedOut, Unreachable
from .resources import Artifact, Event, Operation, Progress, Reject
from .sync_client import Client

__all__ = [
    "Artifact",
    "AsyncClient",
    "Client",
    "ClientError",
    "Event",
    "InvalidAnswer",
    "Operation",
    "OperationFailed",
    "Problem",
    "Progress",
    "Reject",
    "SignedOut",
    "Unreachable",
]
