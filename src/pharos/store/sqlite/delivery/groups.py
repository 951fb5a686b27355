"""Which groups hear of a topic: asked for every event, so it costs those that nobody hears of one look-up."""

from __future__ import annotations

from typing import NamedTuple

import apsw

from pharos.core.fault import CONFLICT
from pharos.store.delivery import Subscribe, Unsubscribe
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.refusal import Refusal
from pharos.store.sqlite.rows import integer, select


class Subscribed(NamedTuple):
    """A group."""

    id: int
    name: str
    prefix: str
    exact: bool

    def hears(self, topic: str) -> bool:
        """Whether events of the topic are delivered to it."""
        return topic == self.prefix if self.exact else topic.startswith(self.prefix)


Heard = dict[str, tuple[Subscribed, ...]]


class Groups:
    """All groups, and where to look for those that hear of a topic.

    Names of topics are paths, and a group's prefix mostly has a whole first segment: ``by_segment`` finds the groups by
    it. The few prefixes that end within the first segment are ``loose``: they are tried for every topic.
    """

    def __init__(self, connection: apsw.Connection, journal: Journal) -> None:
        self._journal = journal
        self.by_name: dict[str, Subscribed] = {
            name: Subscribed(id, name, prefix, bool(exact))
            for id, name, prefix, exact in select(connection, "SELECT id, name, prefix, exact FROM groups")
        }
        self.by_id: dict[int, Subscribed] = {group.id: group for group in self.by_name.values()}
        # Numbers of groups that are gone are not given again: leases of theirs may still be held somewhere.
        self._last = integer(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'groups'")
        self._index = {None: self._built()}
        """The index as the one value of a dictionary, so that the journal can put it back."""

    def of(self, topic: str) -> tuple[Subscribed, ...]:
        """The groups that may hear of a topic."""
        by_segment, loose = self._index[None]
        return by_segment.get(topic.partition("/")[0], loose)

    def subscribe(self, command: Subscribe) -> Subscribed | None:
        """The new group, or ``None`` where it is there already."""
        existing = self.by_name.get(command.group)
        if existing is not None:
            if (existing.prefix, existing.exact) != (command.prefix, command.exact):
                raise Refusal(
                    CONFLICT,
                    f"The group {command.group!r} hears of topics {existing.prefix!r}, and that never changes.",
                    subject=command.group,
                    facts={"group": command.group, "prefix": existing.prefix, "exact": existing.exact},
                )
            return None
        # A number that a refused commit took is left out.
        self._last += 1
        group = Subscribed(self._last, command.group, command.prefix, command.exact)
        self._journal.put(self.by_name, group.name, group)
        self._journal.put(self.by_id, group.id, group)
        self._journal.put(self._index, None, self._built())
        return group

    def unsubscribe(self, command: Unsubscribe) -> Subscribed | None:
        """The group that was there."""
        group = self.by_name.get(command.group)
        if group is not None:
            self._journal.drop(self.by_name, group.name)
            self._journal.drop(self.by_id, group.id)
            self._journal.put(self._index, None, self._built())
        return group

    def _built(self) -> tuple[Heard, tuple[Subscribed, ...]]:
        groups = self.by_name.values()
        loose = tuple(group for group in groups if not group.exact and "/" not in group.prefix)
        by_segment: Heard = {}
        for group in groups:
            if group not in loose:
                segment = group.prefix.partition("/")[0]
                by_segment[segment] = (*by_segment.get(segment, loose), group)
        return by_segment, loose
