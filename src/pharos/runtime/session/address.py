"""Where a session is: its name, its topics, and the ids and keys of what it asks for."""

from __future__ import annotations

from typing import Final, NamedTuple

PREFIX: Final = "sessions/"
STREAMS: Final = "streams/"
CHECKPOINTS: Final = "checkpoints/"


class Address(NamedTuple):
    """The name of a session. Its text form is ``namespace/id``."""

    namespace: str
    id: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.id}"

    @property
    def topic(self) -> str:
        """Where its events are."""
        return f"{PREFIX}{self.namespace}/{self.id}"

    @property
    def stream(self) -> str:
        """Where its tokens are, as they come."""
        return f"{STREAMS}{self.namespace}/{self.id}"

    @property
    def checkpoint(self) -> str:
        """Where its newest checkpoint is named."""
        return f"{CHECKPOINTS}{self.namespace}/{self.id}"

    @classmethod
    def of_topic(cls, topic: str) -> Address:
        """The session whose topic it is. Raises ``ValueError``."""
        namespace, slash, id = topic.removeprefix(PREFIX).partition("/")
        if not topic.startswith(PREFIX) or not slash or not namespace or not id or "/" in id:
            raise ValueError(f"not the topic of a session: {topic!r}")
        return cls(namespace, id)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``namespace/id``. Raises ``ValueError``."""
        return cls.of_topic(PREFIX + text)


def effect_id(sequence: int) -> str:
    """The id of the effect, child, approval or question that the event with ``sequence`` asks for."""
    return f"e{sequence}"


def effect_key(session: Address, id: str) -> str:
    """What names an effect to the outside: the same however often whoever performs it dies."""
    return f"{session}/{id}"
