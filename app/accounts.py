"""Who may open the page: a file of names and hashed passwords, and the limits on tries to log in."""

import asyncio
import getpass
import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from cachetools import TTLCache
from fastapi import HTTPException

from reaugkd.errors import ReAugKDError
from reaugkd.files import read_text_file

LOG2_N, BLOCK, PARALLEL = 14, 8, 5  # of scrypt, as OWASP advises; 0.2 s and 16 MB
MOST_MEMORY = 2**28  # bytes
SHORTEST_PASSWORD = 8  # characters
NAME = r"[^:\s#](?:[^:\n]*[^:\s])?"  # Gradio leaves out the space around a name
BASE64 = r"[A-Za-z0-9+/]+={0,2}"
LINE = re.compile(rf"({NAME}):(\$scrypt\$ln=1[0-7],r=8,p=[1-9]\${BASE64}\$[A-Za-z0-9+/]{{43}}=)")  # 32 bytes
MOST_TRIES = {"address": 10, "name": 50}  # wrong ones, until the next has to wait
WAIT_S = 60
HOW_TO_MAKE = "make each line by `reaugkd app --password NAME >> FILE`"
WAITS = f"Several wrong passwords were given; wait {WAIT_S} seconds, then try again."
ABOUT_TRIES = f"After {MOST_TRIES['address']} wrong passwords, wait {WAIT_S} seconds: until then none is tried."
ADDRESS: ContextVar[str] = ContextVar("ADDRESS", default="")  # who asks; app/guard.py sets it


def hashed(password: str) -> str:
    """Hash a password with a new salt."""
    return _hashed(password, secrets.token_bytes(16), LOG2_N, PARALLEL)


def is_password(password: str, kept: str) -> bool:
    """Return whether a password is the one that was hashed, in a time that does not depend on where it differs."""
    _, _, settings, salt, _ = kept.split("$")
    log2_n, _, parallel = (int(setting.partition("=")[2]) for setting in settings.split(","))
    return hmac.compare_digest(_hashed(password, b64decode(salt), log2_n, parallel), kept)


def _hashed(password: str, salt: bytes, log2_n: int, parallel: int) -> str:
    options = {"n": 2**log2_n, "r": BLOCK, "p": parallel, "maxmem": MOST_MEMORY, "dklen": 32}
    said = hashlib.scrypt(password.encode("utf-8", "replace"), salt=salt, **options)
    return f"$scrypt$ln={log2_n},r={BLOCK},p={parallel}${b64encode(salt).decode()}${b64encode(said).decode()}"


def ask_for_line(name: str) -> str:
    """Ask for a password, twice, and return the line of an account."""
    if not re.fullmatch(NAME, name):
        raise ReAugKDError(f"{name!r} is no name for an account; write one without a colon, such as ada.")
    password = getpass.getpass(f"Password of {name}: ")
    if len(password) < SHORTEST_PASSWORD:
        raise ReAugKDError(f"The password is too short; give one of at least {SHORTEST_PASSWORD} characters.")
    if getpass.getpass("The same once more: ") != password:
        raise ReAugKDError("The two passwords differ; run the command again.")
    return f"{name}:{hashed(password)}"


def read_accounts(path: str | Path) -> "Accounts":
    """Read who may open the page; refuse a file with passwords that are not hashed."""
    lines = [line.strip() for line in read_text_file(path).splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    passwords = {}
    for number, line in enumerate(lines, start=1):
        if not (match := LINE.fullmatch(line)):
            raise ReAugKDError(
                f"Account {number} of {str(path)!r} is no name with a hashed password, and plain ones are not taken; "
                f"{HOW_TO_MAKE}."
            )
        passwords[match[1]] = match[2]
    if not passwords:
        raise ReAugKDError(f"{str(path)!r} names nobody; {HOW_TO_MAKE}.")
    return Accounts(passwords)


@dataclass
class Accounts:
    """Names with their hashed passwords, and the wrong tries of the last minute.

    A wrong try counts for its address and for its name. What is refused is not counted, so every wait ends, and an
    address where a name has logged in does not wait for the wrong tries of others.
    """

    passwords: dict[str, str]
    nobody: str = field(default_factory=lambda: hashed(secrets.token_urlsafe()), repr=False)
    wrong: "TTLCache[tuple[str, str], int]" = field(default_factory=lambda: TTLCache(100_000, WAIT_S), repr=False)
    known: set[tuple[str, str]] = field(default_factory=set, repr=False)

    async def let_in(self, name: str, password: str) -> bool:
        """Return whether the password is the name's; Gradio asks this."""
        address = ADDRESS.get()
        keys = [("address", address)] + [("name", name)] * ((name, address) not in self.known)
        if any(self.wrong.get(key, 0) >= MOST_TRIES[key[0]] for key in keys):
            raise HTTPException(429, WAITS, {"Retry-After": str(WAIT_S)})
        for key in keys:  # before the answer, so that many at once are counted
            self.wrong[key] = self.wrong.get(key, 0) + 1
        # A name that nobody has costs as much time; its password is one that nobody knows.
        if not await asyncio.to_thread(is_password, password, self.passwords.get(name, self.nobody)):
            return False
        self.known.add((name, address))
        for key in keys:
            self.wrong[key] = self.wrong.get(key, 1) - 1
        return True
