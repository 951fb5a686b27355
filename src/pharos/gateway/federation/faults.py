"""The faults of federation."""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode, Retry

CARD_KEYS_DAMAGED = FaultCode(
    "CARD_KEYS_DAMAGED", "Card keys damaged", 500, Category.INTEGRITY,
    "HOME/card.keys is not what this city wrote. Restore it from a backup; if it is lost, move it away and start "
    "again: a new key then signs the cards, and those who pinned the old one must be told.",
)  # fmt: skip
CARD_UNTRUSTED = FaultCode(
    "CARD_UNTRUSTED", "The agent's card is not to be trusted", 502, Category.INTEGRITY,
    "The card of the remote agent is not signed, is signed by a key that is not (or no longer) its owner's, was "
    "fetched from another place than was declared, or leads to another host. Nothing was sent. `facts.reason` says "
    "which.",
    Retry.AFTER_FIX,
)  # fmt: skip
REMOTE_UNREACHABLE = FaultCode(
    "REMOTE_UNREACHABLE", "The remote agent cannot be reached", 502, Category.DEPENDENCY,
    "No answer came from the remote agent, or one that is not of the protocol.", Retry.SAME_REQUEST,
)  # fmt: skip
REMOTE_REFUSED = FaultCode(
    "REMOTE_REFUSED", "The remote agent refused", 502, Category.DEPENDENCY,
    "The remote agent answered with an error; `detail` has its words, `facts.reason` its code.", Retry.AFTER_FIX,
)  # fmt: skip
DESTINATION_FORBIDDEN = FaultCode(
    "DESTINATION_FORBIDDEN", "Nothing is sent there", 403, Category.POLICY,
    "Notifications go to public addresses alone: no loopback, private, link-local or reserved network, whatever name "
    "leads there. A `Federation` resource allows networks of one's own (`push.allow`).",
)  # fmt: skip
GRPC_UNAVAILABLE = FaultCode(
    "GRPC_UNAVAILABLE", "The gRPC port cannot be opened", 500, Category.PRECONDITION,
    "The address that the `Federation` resource gives to gRPC is in use or not of this machine.", Retry.AFTER_FIX,
)  # fmt: skip
RUN_MISMATCH = FaultCode(
    "RUN_MISMATCH", "The run was begun with another input", 409, Category.CONFLICT,
    "The thread has a run of this id already, and it began with something else than what came now. Sent with what it "
    "began with, it is told again; what is new is a run of its own.",
)  # fmt: skip

ALL: tuple[FaultCode, ...] = (
    CARD_KEYS_DAMAGED, CARD_UNTRUSTED, REMOTE_UNREACHABLE, REMOTE_REFUSED, DESTINATION_FORBIDDEN, GRPC_UNAVAILABLE,
    RUN_MISMATCH,
)  # fmt: skip
