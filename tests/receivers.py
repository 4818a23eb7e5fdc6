"""Real receivers of alerts on this machine: an HTTP server and a mail server that keep what they get."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from sluice.running import web

# It must not be seen anywhere.
PASSWORD = "s3cr3t-of-the-receiver"


@dataclass
class Posts:
    """An HTTP receiver: what it was sent, in order, and with which status it answers."""

    port: int = 0
    status: int = 200
    messages: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """As Apprise writes it, with a password."""
        return f"json://duty:{PASSWORD}@127.0.0.1:{self.port}/hook/{PASSWORD}"

    @property
    def bodies(self) -> list[str]:
        """The texts."""
        return [message["message"] for message in self.messages]


@contextlib.contextmanager
def http(port: int = 0) -> Iterator[Posts]:
    """A server that listens while the block runs, at any free port or at this one."""
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            (posts.messages if posts.status == 200 else posts.refused).append(said)
            self.send_response(posts.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        posts.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield posts
        finally:
            server.shutdown()
            thread.join()


class _Box:
    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@contextlib.contextmanager
def smtp() -> Iterator[tuple[str, list[EmailMessage]]]:
    """The URL of a mail server that listens while the block runs, and what it has got."""
    box = _Box()
    port = web.port_to_use(0)
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        to = "one@example.org,two@example.org"
        yield f"mailto://127.0.0.1:{port}/?from=sluice@example.org&to={to}&mode=insecure", box.mails
    finally:
        controller.stop()
