"""Who is at the sign-in screen: what is told of them, by which guesses at passwords are counted."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from pydantic import SecretStr

# Supabase's "IP address forwarding", and what the embedded one takes beside it.
_FORWARDED_FOR, _KNOWN_DEVICE = "Sb-Forwarded-For", "X-Known-Device"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is at the sign-in screen: the browser's address, and the cookie of its last session."""

    address: str | None
    cookie: str | None


def told_of(visitor: Visitor | None, email: str, key: SecretStr) -> dict[str, str]:
    """Headers by which guesses at a password are counted for each visitor, not for the app."""
    if visitor is None:
        return {_KNOWN_DEVICE: "the app"}
    told = {_FORWARDED_FOR: visitor.address} if visitor.address else {}
    cookie = visitor.cookie or ""
    if hmac.compare_digest(cookie, _signed(cookie.partition(".")[0], email, key)):
        told[_KNOWN_DEVICE] = hashed(cookie)
    return told


def new_cookie(email: str, key: SecretStr) -> str:
    """A random cookie that says: who has this signed in with this e-mail address."""
    return _signed(secrets.token_urlsafe(32), email, key)


def hashed(cookie: str) -> str:
    """What is kept of a cookie."""
    return hashlib.sha256(cookie.encode()).hexdigest()


def _signed(name: str, email: str, key: SecretStr) -> str:
    device = f"device {name} {email.lower()}".encode()
    signature = hmac.new(key.get_secret_value().encode(), device, hashlib.sha256)
    return f"{name}.{signature.hexdigest()}"
