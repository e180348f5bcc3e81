"""The kinds of failure of a call to DeepLake Cloud, and the messages for them."""

from __future__ import annotations

from enum import StrEnum


class Failure(StrEnum):
    TOKEN = "token"  # 401
    FORBIDDEN = "forbidden"  # 403
    PLAN = "plan"  # Deep Memory is not part of the organization's plan
    MISSING = "missing"  # 404: no such organization, dataset or job
    REFUSED = "refused"  # 400, 422
    LIMITED = "limited"  # 429
    SERVER = "server"  # 5xx
    LOCKED = "locked"  # another process writes, or died while it did (for up to 5 minutes)
    NETWORK = "network"  # no connection, or it broke
    LATE = "late"  # no answer within the call's time limit
    GARBLED = "garbled"  # an answer that is not what the service answers

    @property
    def may_pass(self) -> bool:
        """Whether the same call may soon succeed without anybody doing anything."""
        return self in {
            Failure.LIMITED,
            Failure.SERVER,
            Failure.LOCKED,
            Failure.NETWORK,
            Failure.LATE,
            Failure.GARBLED,
        }


class CloudFailure(Exception):
    """A call that failed. `detail` is for the log; it never holds a token or a text."""

    def __init__(self, kind: Failure, detail: str = "") -> None:
        super().__init__(kind, detail)  # both, so that it can be pickled
        self.kind = kind
        self.detail = detail


# What happened, and what to do next.
WORDS: dict[Failure, tuple[str, str]] = {
    Failure.TOKEN: (
        "DeepLake Cloud refused the token.",
        "Make a new token in your Activeloop account, set ACTIVELOOP_TOKEN and start again.",
    ),
    Failure.FORBIDDEN: (
        "The token has no right to this dataset in DeepLake Cloud.",
        "Check the organization in DEEPLAKE_PATH, and that the token's owner may write there.",
    ),
    Failure.PLAN: (
        "Deep Memory is not part of this organization's Activeloop plan.",
        "Change the plan, or set DEEP_MEMORY_TRAINER=local to train on this machine.",
    ),
    Failure.MISSING: (
        "DeepLake Cloud does not know this dataset or job.",
        "Check DEEPLAKE_PATH. If the dataset was deleted there, add the documents again.",
    ),
    Failure.REFUSED: (
        "DeepLake Cloud refused the request.",
        "If it repeats, report the time and what you did.",
    ),
    Failure.LIMITED: (
        "DeepLake Cloud keeps refusing calls because of its rate limit.",
        "Wait a few minutes, then try again.",
    ),
    Failure.SERVER: ("DeepLake Cloud fails at the moment.", "Try again when it works again."),
    Failure.LOCKED: (
        "Another program is writing to this dataset in DeepLake Cloud, or stopped in the middle.",
        "Try again in five minutes: the lock of a program that stopped ends by then.",
    ),
    Failure.NETWORK: (
        "DeepLake Cloud could not be reached.",
        "Check the network, then try again.",
    ),
    Failure.LATE: ("DeepLake Cloud did not answer in time.", "Try again in a moment."),
    Failure.GARBLED: (
        "DeepLake Cloud answered in a form that this app does not understand.",
        "Try again. If it repeats, something between this app and the service changes its answers.",
    ),
}
