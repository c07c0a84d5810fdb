"""`echelon web`: the beer game, a what-if page and an explorer of results, in a browser on this machine.

Nothing is fetched from elsewhere, and the server answers to the names of this machine alone unless it is told to
listen to others.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

from echelon.envs.errors import ConfigError, MissingExtraError

MISSING = "echelon web needs the extra 'web' (nicegui is not installed): pip install 'echelon[web]' -c constraints.txt"
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
SAFETY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers of every answer."""
FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0a5c94"/>'
    '<path d="M8 9h16v3.4H8zM8 14.3h11v3.4H8zM8 19.6h16V23H8z" fill="#fff"/></svg>'
)


@dataclass(frozen=True)
class WebRequest:
    """What `echelon web` was asked for."""

    runs: Sequence[Path] = ()
    policies: Sequence[Path] = ()
    """Folders of trained policies that the beer game shows too."""
    host: str = "127.0.0.1"
    port: int = 8080
    show: bool = True
    """Open the page in a browser."""


def serve(request: WebRequest) -> None:
    """Run the pages until the process is stopped. Raises `ConfigError`, or `MissingExtraError` without NiceGUI."""
    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(Path(gettempdir()) / "echelon-web"))
    try:
        from nicegui import ui
    except ImportError as error:
        raise MissingExtraError(MISSING) from error
    _warn_and_check(request.host, request.port)
    _add_pages(request)
    ui.run(
        host=request.host,
        port=request.port,
        title="Echelon",
        favicon=FAVICON,
        dark=None,
        language="en-US",
        reload=False,
        show=request.show,
        tailwind=False,
        show_welcome_message=False,
        on_air=None,
        storage_secret=None,
        binding_refresh_interval=None,
        reconnect_timeout=30.0,
    )


def _warn_and_check(host: str, port: int) -> None:
    """Say so where others can reach the address. Raises `ConfigError` where nobody can listen on it."""
    if not is_loopback(host):
        print(
            f"Warning: {host} can be reached from other machines. Whoever can reach port {port} sees the runs and can "
            "play; nothing is encrypted and there is no password.",
            file=sys.stderr,
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError([f"--port: cannot listen on {host} port {port}: {error.strerror}"]) from error


def _add_pages(request: WebRequest) -> None:
    from nicegui import app
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from echelon.experiments.web_beer_page import add_beer_game
    from echelon.experiments.web_beer_reveal import load_trained
    from echelon.experiments.web_folders import find_runs
    from echelon.experiments.web_frame import add_style
    from echelon.experiments.web_results import add_results
    from echelon.experiments.web_what_if import add_what_if

    add_style()
    add_beer_game(load_trained(request.policies))
    add_results(find_runs(request.runs))
    add_what_if()
    place = f"[{request.host}]" if ":" in request.host else request.host
    app.on_startup(lambda: print(f"Echelon is at http://{place}:{request.port} (stop: Ctrl-C)", flush=True))
    if is_loopback(request.host):  # no other web site may reach this server by giving its name this machine's address
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOCAL_NAMES, request.host])
    _add_headers()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. Raises `ConfigError` for what is no address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise ConfigError([f"--host: must be an IP address or localhost (got {host!r})"]) from None


def _add_headers() -> None:
    from nicegui import app
    from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
    from starlette.requests import Request
    from starlette.responses import Response

    async def with_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        for name, value in SAFETY.items():
            response.headers.setdefault(name, value)
        return response

    app.add_middleware(BaseHTTPMiddleware, dispatch=with_headers)
