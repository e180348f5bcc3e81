"""Tells Supabase who is at the sign-in screen, so that it counts guesses for each visitor.

Otherwise it would only see the app's address, and one person's wrong passwords would lock everyone
out.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from pydantic import SecretStr

# Supabase's "IP address forwarding", and a header that only the embedded one accepts.
_FORWARDED_FOR, _KNOWN_DEVICE = "Sb-Forwarded-For", "X-Known-Device"


@dataclass(frozen=True, slots=True)
class Visitor:
    """The browser's address, and the cookie of its last session, if it has any."""

    address: str | None
    cookie: str | None


def told_of(visitor: Visitor | None, email: str, key: SecretStr) -> dict[str, str]:
    """The headers that tell Supabase about a visitor who tries `email`; None is the app itself."""
    if visitor is None:
        return {_KNOWN_DEVICE: "the app"}
    told = {_FORWARDED_FOR: visitor.address} if visitor.address else {}
    cookie = visitor.cookie or ""
    signed = _signed(cookie.partition(".")[0], email, key)
    if hmac.compare_digest(cookie.encode(), signed.encode()):
        told[_KNOWN_DEVICE] = hashed(cookie)
    return told


def new_cookie(email: str, key: SecretStr) -> str:
    """A random cookie, signed to show, even after its session, who signed in on this device."""
    return _signed(secrets.token_urlsafe(32), email, key)


def hashed(cookie: str) -> str:
    """The hash under which a cookie is stored."""
    return hashlib.sha256(cookie.encode()).hexdigest()


def _signed(name: str, email: str, key: SecretStr) -> str:
    device = f"device {name} {email.lower()}".encode()
    signature = hmac.new(key.get_secret_value().encode(), device, hashlib.sha256)
    return f"{name}.{signature.hexdigest()}"
