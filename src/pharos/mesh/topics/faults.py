"""The faults of topics."""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode, Retry

TOPIC_FULL = FaultCode(
    "TOPIC_FULL", "The topic is full", 429, Category.CAPACITY,
    "As many messages wait for the topic's slowest group as its `Topic` allows (`depth`). Nothing was published. Wait "
    "until they are worked off; `facts` names the group and how far it is behind.", Retry.AFTER_TIME,
)  # fmt: skip
TOPIC_BUSY = FaultCode(
    "TOPIC_BUSY", "The topic is in use", 409, Category.PRECONDITION,
    "Someone works on the topic, or a group has not acknowledged everything in it. Nothing was removed.",
    Retry.AFTER_FIX,
)  # fmt: skip
NO_RESPONDER = FaultCode(
    "NO_RESPONDER", "Nobody would answer", 409, Category.PRECONDITION,
    "No group subscribes to the topic, so no one would ever see the request. It was not published.", Retry.AFTER_FIX,
)  # fmt: skip
NOT_A_CLOUDEVENT = FaultCode(
    "NOT_A_CLOUDEVENT", "Not a CloudEvent", 415, Category.VALIDATION,
    "The request is in none of the forms of CloudEvents 1.0 over HTTP: `ce-` headers with the data as body, or a body "
    "of `application/cloudevents+json` or `application/cloudevents-batch+json`.", Retry.AFTER_FIX,
)  # fmt: skip

ALL: tuple[FaultCode, ...] = (TOPIC_FULL, TOPIC_BUSY, NO_RESPONDER, NOT_A_CLOUDEVENT)
