"""What stands before the page: which requests are refused, and what a browser may do with an answer."""

import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from cachetools import TTLCache
from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .accounts import ADDRESS

LOOPBACK = ("localhost", "127.0.0.1", "::1")
LARGEST_BODY = 32 * 2**20  # bytes; 256 texts of 100,000 characters
LARGEST_UPLOAD_BODY = 110 * 2**20  # two files of the largest size at once
MOST_REQUESTS, WITHIN_S = 5_000, 10  # of an address, what only reads not counted; one who types makes 14 a second
CHANGES = ("POST", "PUT", "PATCH", "DELETE")
# Gradio compiles the scripts of components and events ('unsafe-eval') and writes style attributes. Its own scripts in
# the page get a nonce, which no script in a person's text has.
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; manifest-src 'self'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SCRIPT = re.compile(rb"<script(?=[\s>])")  # in the page's JSON, < is escaped


class Guard:
    """Judges each request before Gradio does, and adds to each answer what a browser may do with it.

    Parameters
    ----------
    app : ASGIApp
        Gradio's.
    host : str
        What the server listens on.
    names : iterable of str
        Further names by which it is reached, such as that of a proxy.
    any_name : bool
        Whether it may be reached by every name: a page of another site that gives its own name to this machine has no
        one's account.
    """

    def __init__(self, app: ASGIApp, host: str, names: Iterable[str], any_name: bool) -> None:
        self.app, self.any_name = app, any_name
        own = () if host in LOOPBACK else (host, socket.gethostname())
        self.further = {name.lower() for name in names}
        self.names = self.further.union(name.lower() for name in (*LOOPBACK, *own))
        self.asked: TTLCache[str, list[int]] = TTLCache(10_000, WITHIN_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it by a sentence."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        ADDRESS.set((scope.get("client") or ("",))[0])
        refused = self._refused(scope, Headers(scope=scope))
        sent = _with_headers(send, secrets.token_urlsafe(16))
        if refused:
            await JSONResponse({"detail": refused[1]}, refused[0])(scope, receive, sent)
        else:
            await self.app(scope, _limited(receive, _largest(scope)), sent)

    def _refused(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Return why a request is refused, by its status and a sentence."""
        path, host, origin = scope["path"], headers.get("host", ""), headers.get("origin")
        name = _name(host)
        if not (self.any_name or name in self.names or _is_number(name)):
            return 421, f"This server is not reached by the name {name[:99]!r}; start it with --name and that name."
        asking = host if origin is None else urlsplit(origin).netloc
        if asking != host and _name(asking) not in self.further:
            return 403, "A page of another site may not ask this server; open the server's own page."
        if "://" in path or "\0" in path:
            return 403, "This server fetches nothing from other addresses; upload the file."
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > _largest(scope):
            return 413, f"What was sent is larger than {_largest(scope) // 2**20} MB; send less at a time."
        if scope["method"] in CHANGES and self._asks_too_often(ADDRESS.get()):
            return 429, f"More than {MOST_REQUESTS:,} requests came in {WITHIN_S} seconds; ask more slowly."
        return None

    def _asks_too_often(self, address: str) -> bool:
        """Count a request of an address; its counter is forgotten some seconds after the first."""
        counter = self.asked.setdefault(address, [0])
        counter[0] += 1
        return counter[0] > MOST_REQUESTS


def _name(host: str) -> str:
    """Return a host without its port, such as ``::1`` of ``[::1]:7860``."""
    return host.rpartition("]")[0].strip("[").lower() if host.startswith("[") else host.partition(":")[0].lower()


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _largest(scope: Scope) -> int:
    return LARGEST_UPLOAD_BODY if scope["path"].rstrip("/").endswith("/upload") else LARGEST_BODY


def _limited(receive: Receive, largest: int) -> Receive:
    """Count a body as it comes, since its length need not be said before."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > largest:
            raise HTTPException(413, f"What was sent is larger than {largest // 2**20} MB; send less at a time.")
        return message

    return counted


def _with_headers(send: Send, nonce: str) -> Send:
    """Add the headers to an answer, and to its scripts the nonce; a page is sent whole."""
    start: Message = {}
    parts: list[bytes] = []

    async def sent(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update({**HEADERS, "Content-Security-Policy": POLICY.format(nonce=nonce)})
            if headers.get("content-type", "").startswith("text/html"):
                start = message
                return
        elif start:
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            body = SCRIPT.sub(b'<script nonce="%s"' % nonce.encode(), b"".join(parts))
            MutableHeaders(scope=start)["content-length"] = str(len(body))
            await send(start)
            message = {"type": "http.response.body", "body": body}
        await send(message)

    return sent
