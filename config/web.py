"""One web process. Any number of them listen on one port, and the kernel shares the connections out among them.

`uvicorn --workers` would do so with children of its own, which outlive it where it is killed.
"""

import socket
import sys

import uvicorn


def configure(host: str, port: int, application: str) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        ws="websockets-sansio",
        ws_max_size=65536,
        ws_per_message_deflate=False,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        timeout_graceful_shutdown=5,
        lifespan="off",
    )


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048, reuse_port=True)


def main(host: str, port: int, application: str = "config.asgi:application") -> None:
    config = configure(host, port, application)
    config.load()  # before it listens: from then on it gets its share of the connections
    server = uvicorn.Server(config)
    server.run(sockets=[listen(host, port)])
    if not server.started:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
