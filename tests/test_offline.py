"""No test calls another machine: the guard itself."""

from __future__ import annotations

import socket
import threading

import pytest


def test_a_call_to_this_machine_goes_through() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        waiting = threading.Thread(target=lambda: server.accept()[0].close())
        waiting.start()
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=5).close()
        waiting.join()


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org"])
def test_a_call_elsewhere_is_refused_and_fails_its_test(host: str, calls_elsewhere: list[str]) -> None:
    with pytest.raises(OSError, match="tests must stay on this machine"):
        socket.create_connection((host, 80), timeout=1)
    assert calls_elsewhere == [host]  # what would fail this test when it ends
    calls_elsewhere.clear()
