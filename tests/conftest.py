"""Settings for every test: property tests draw the same examples on every machine, none is timed, nothing goes out."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("echelon", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("echelon")

NAMES = {"", "localhost", "0.0.0.0", "::", socket.gethostname(), socket.getfqdn()}
"""Those of this machine."""


def _own_addresses() -> set[str]:
    """The addresses of this machine beside those of loopback."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        return set()


OWN = _own_addresses()


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback or host in OWN | NAMES
    except ValueError:
        return host in NAMES


@pytest.fixture(autouse=True)
def calls_elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Fail a test that looks up or calls another machine, whatever becomes of the error inside of it."""
    called: list[str] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def require_here(host: Any) -> None:
        name = host.decode() if isinstance(host, bytes) else str(host or "")
        if not _is_here(name):
            called.append(name)
            raise OSError(f"tests must stay on this machine (got {name})")

    def guarded_connect(one: socket.socket, address: Any) -> None:
        if one.family in (socket.AF_INET, socket.AF_INET6):
            require_here(address[0])
        connect(one, address)

    def guarded_look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        require_here(host)
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    yield called
    assert not called, f"a request left the machine: {', '.join(called)}"
