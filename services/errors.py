"""What can go wrong, in words for the person who sees it.

Each error says what happened (its message) and what to do next (`next_step`). The message also
says whether anything was lost. The technical cause stays in `__cause__` and in the log; pages and
HTTP routes catch `AppError` once, at their edge.
"""

from __future__ import annotations


class AppError(Exception):
    """Something a person can understand and act on.

    `code` is stable and names the kind of error for programs; `next_step` is a sentence.
    """

    code = "app_error"
    next_step = "Try again. If it repeats, report the time and what you did."

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        if next_step is not None:
            self.next_step = next_step


class ConfigurationError(AppError):
    """A setting is missing or wrong; the message names its variable."""

    code = "configuration"
    next_step = "Correct the setting, then start the app again."


class SchemaTooOld(ConfigurationError):
    """The database lacks migrations of this app."""

    next_step = "Run `supabase db push` in the app's folder, then start the app again."

    def __init__(self) -> None:
        super().__init__("The database is older than this app: it lacks migrations.")


class NotSignedIn(AppError):
    """No session, or one that ended."""

    code = "not_signed_in"
    next_step = "Sign in again. Your work is kept."


class SignInRefused(AppError):
    """The credentials were refused, or an account cannot be made with them."""

    code = "sign_in_refused"
    next_step = "Check the e-mail address and the password."


class DatabaseUnavailable(AppError):
    """Supabase did not answer; nothing was changed, or the change is safe to repeat.

    `waits_for` names what a worker that retries the statement waits for.
    """

    code = "database_unavailable"
    next_step = "Nothing is lost. The app tries again by itself."
    waits_for = "the database"


class DiskFull(DatabaseUnavailable):
    """There is no room to write; what is already stored is kept, and can be read."""

    code = "disk_full"
    next_step = "Make room on the disk, then try again. Runs go on by themselves."
    waits_for = "room on the disk, which is full"


class NotFound(AppError):
    """It does not exist, or it belongs to someone else; callers cannot tell which."""

    code = "not_found"
    next_step = "Reload to see what is there now."


class RunMoved(AppError):
    """The run is no longer in the status that this move starts from: it was moved meanwhile."""

    code = "run_moved"
    next_step = "Reload to see its current status."


class RunBlocked(AppError):
    """An unfinished run blocks a new one."""

    code = "run_blocked"
    next_step = "Finish that run or remove it, then start a new one."

    def __init__(self, message: str, *, run_id: str, status: str) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.status = status


class DocumentRejected(AppError):
    """One file cannot be added; the others are not affected."""

    code = "document_rejected"
    next_step = "Correct this file and add it again."


class StoreUnavailable(AppError):
    """The vector store cannot be opened, read or written just now."""

    code = "store_unavailable"
    next_step = "Try again in a moment."


class StoreDamaged(StoreUnavailable):
    """What the store held is damaged or gone, and will not recover until somebody acts."""

    code = "store_damaged"
    next_step = (
        "Put its folder back from a backup; or begin anew on the page of the knowledge base, and "
        "add the documents again."
    )


class EmbedderMismatch(AppError):
    """The store holds embeddings of a different embedding model than the one that is set."""

    code = "embedder_mismatch"
    next_step = "Set EMBEDDING_MODEL back, or remove the documents and add them again."


class EmbedderUnavailable(AppError):
    """The embedding model gave no usable answer; nothing was stored or changed."""

    code = "embedder_unavailable"
    next_step = "Try again in a moment."


class GenerationError(AppError):
    """Question writing cannot continue. The pairs written so far are kept."""

    code = "generation_failed"
    next_step = "Proceed goes on with the chunks that have no questions yet."


class TrainingError(AppError):
    """Training cannot continue. The pairs are kept."""

    code = "training_failed"
    next_step = "Proceed trains again with the same pairs."


class NotAllowed(AppError):
    """The request breaks a rule, which the message names. Nothing was changed."""

    code = "not_allowed"
    next_step = "Nothing was changed."
