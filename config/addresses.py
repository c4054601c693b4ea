"""Where the web server listens, and how this machine reaches it."""

import errno
import socket


class PortError(Exception):
    """The address cannot be listened on; the message says why and what to do."""


def require_free_port(host: str, port: int) -> None:
    """Refuse now, in words, what the web server would only repeat in its log."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        problem = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror or error})"
        raise PortError(f"Port {port} on {host} {problem}. Choose another: `make run PORT={port + 1}`.") from error


def reachable(host: str) -> str:
    """The address by which this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def address(host: str, port: int) -> str:
    name = reachable(host)
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


def answers(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
