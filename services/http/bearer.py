"""`Authorization: Bearer`: from the user's Supabase access token to that user's workspace."""

from __future__ import annotations

import hashlib
from threading import Condition
from typing import Annotated
from uuid import UUID

import jwt
from cachetools import LRUCache, TTLCache, cached
from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.accounts.auth import Identity
from services.errors import NotFound, NotSignedIn
from services.models import TrainingRun
from services.studio import Studio, current_studio
from services.workspace import Workspace

# A token that was signed out elsewhere works this much longer, at most.
TRUSTED_S = 30.0
_MOST_TOKENS = 256
_KEPT_S = 60.0


class BearerWorkspaces:
    """Workspaces by access token: Supabase is asked about a token once in 30 seconds, and what is
    opened for a token, a connection and a model, is let go after a minute: many serve only once."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._identify = cached(
            TTLCache(4 * _MOST_TOKENS, TRUSTED_S), key=_digest, condition=Condition()
        )(studio.accounts.identify)
        self._open = cached(TTLCache(_MOST_TOKENS, _KEPT_S), key=_digest, condition=Condition())(
            self._open_workspace
        )

    def of(self, access_token: str) -> Workspace:
        """The services as the owner of this token uses them.

        Raises:
            NotSignedIn: forged, expired or signed out.
        """
        _refuse_expired(access_token)
        return self._open(access_token, self._identify(access_token))

    def _open_workspace(self, access_token: str, identity: Identity) -> Workspace:
        return Workspace(self._studio, self._studio.accounts.bearer(access_token, identity))


@cached(LRUCache(1), condition=Condition())
def _workspaces(studio: Studio) -> BearerWorkspaces:
    return BearerWorkspaces(studio)


def workspace_of(access_token: str) -> Workspace:
    return _workspaces(current_studio()).of(access_token)


def _digest(access_token: str, *_: object) -> str:
    return hashlib.sha256(access_token.encode()).hexdigest()


def _refuse_expired(access_token: str) -> None:
    """Read the end of the token without a round trip. Its signature is for Supabase to verify."""
    try:
        jwt.decode(
            access_token,
            options={"verify_signature": False, "verify_exp": True, "require": ["exp"]},
        )
    except jwt.InvalidTokenError as error:
        raise NotSignedIn("The access token is not valid, or it has expired.") from error


_bearer = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="The user's Supabase access token."
)


async def _access_token(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> str:
    if credentials is None:
        raise NotSignedIn("Send the user's access token: `Authorization: Bearer ...`.")
    return credentials.credentials


AccessToken = Annotated[str, Depends(_access_token)]


def _workspace(token: AccessToken, user_id: UUID | None = None) -> Workspace:
    space = workspace_of(token)
    if user_id is not None:
        require_own(space, user_id)
    return space


def _workspace_of_user(token: AccessToken, user_id: UUID) -> Workspace:
    return _workspace(token, user_id)


# The token's owner; `UserSpace` is for routes that the contract gives a `user_id` in the query.
Space = Annotated[Workspace, Depends(_workspace)]
UserSpace = Annotated[Workspace, Depends(_workspace_of_user)]


def _own_run(run_id: UUID, space: Space) -> TrainingRun:
    return space.runs.get(str(run_id))


# The run that the path names, where only the token's owner gets at it.
OwnRun = Annotated[TrainingRun, Depends(_own_run)]


def require_own(space: Workspace, user_id: UUID) -> None:
    """Raises NotFound for a `user_id` that is not the token's, whether it exists or not."""
    if str(user_id) != space.user.identity.user_id:
        raise NotFound("There is nothing of this user here.")
