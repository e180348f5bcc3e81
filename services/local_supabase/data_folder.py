"""The data folder: its permissions, its secrets, and the errors for a disk that refuses."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import jwt

from services.disk import LEAST_FREE_MB, free_mb
from services.errors import ConfigurationError

KEY_LIFETIME_S = 10 * 365 * 24 * 3600
# pgserver hands the path to Postgres's start script without quotes.
_NOT_FOR_A_SHELL = re.compile(r"""[\s"'`$\\;&|<>()*?\[\]{}#!~]""")


@dataclass(frozen=True)
class Secrets:
    """The signing secret, API keys and demo password of the embedded stack. None is printed."""

    jwt_secret: str = field(repr=False)
    publishable_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    demo_password: str = field(repr=False)


def prepare(data_dir: Path) -> None:
    """Create the folder for its owner only, and check that it can be written.

    Raises:
        ConfigurationError: it cannot be created or written, or the disk is full.
    """
    if _NOT_FOR_A_SHELL.search(str(data_dir)):
        raise ConfigurationError(
            f"DATA_DIR: the path {data_dir} holds a space or another character that Postgres's"
            " start script does not take.",
            next_step="Set DATA_DIR to a path of plain characters, then start the app again.",
        )
    with disk_trouble_explained(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        # Postgres refuses to run as root, so another user has to pass through this folder.
        data_dir.chmod(0o711 if _is_root() else 0o700)
        with tempfile.TemporaryFile(dir=data_dir) as probe:
            probe.write(b"room")
    if not (data_dir / "postgres").exists():
        _refuse_when_full(data_dir)


def load_or_create_secrets(data_dir: Path) -> Secrets:
    """Read the secrets, or create them at the first start. Two apps that start at once agree.

    Raises:
        ConfigurationError: the file cannot be read or is damaged.
    """
    path = data_dir / "secrets.json"
    with disk_trouble_explained(data_dir):
        if not path.exists():
            _create(path)
        try:
            return Secrets(**json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise ConfigurationError(
                f"{path} is damaged.",
                next_step="Put it back from a copy, or delete it: everyone has to sign in again.",
            ) from error


@contextmanager
def disk_trouble_explained(data_dir: Path) -> Iterator[None]:
    """Turn an OSError on the data folder into a message that names the setting."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(data_dir) from error
        raise ConfigurationError(
            f"DATA_DIR: the data folder {data_dir} cannot be used ({error.strerror}).",
            next_step="Set DATA_DIR to a folder that you may write, then start the app again.",
        ) from error


def _refuse_when_full(data_dir: Path) -> None:
    if free_mb(data_dir) < LEAST_FREE_MB:
        raise _disk_full(data_dir)


def _disk_full(data_dir: Path) -> ConfigurationError:
    return ConfigurationError(
        f"DATA_DIR: the disk of {data_dir} is full ({free_mb(data_dir)} MB free; the embedded"
        f" Supabase needs {LEAST_FREE_MB} MB). What is stored is safe.",
        next_step="Make room, or set DATA_DIR to a folder on another disk; then start again.",
    )


def _create(path: Path) -> None:
    jwt_secret = secrets.token_urlsafe(48)
    made = Secrets(
        jwt_secret=jwt_secret,
        publishable_key=_api_key("anon", jwt_secret),
        secret_key=_api_key("service_role", jwt_secret),
        demo_password=secrets.token_urlsafe(18),
    )
    # mkstemp sets mode 0600; link fails where rename would overwrite another app's secrets.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".secrets-")
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(made), file)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass  # Another app was first; its secrets are used.
    finally:
        os.unlink(draft)


def _api_key(role: str, jwt_secret: str) -> str:
    now = int(time.time())
    claims = {"iss": "supabase", "role": role, "iat": now, "exp": now + KEY_LIFETIME_S}
    return jwt.encode(claims, jwt_secret, algorithm="HS256")


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
