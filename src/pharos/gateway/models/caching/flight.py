"""One request to a provider that several calls wait for.

The request is made by a task of its own for a *carrier*, a copy of the call that led to it, so that it does not end
with whoever began it. Every call has a *seat*. One seat is the leader's: the carrier's attempts are its attempts, it
pays for them and they are recorded as its own. If its client leaves, another seat takes the lead, with all that was
spent so far; if nobody is left, the request is stopped.

What came is kept for those who come later, up to a bound. Beyond it nobody new may join and only what somebody has not
read yet is kept; a reader that is a whole bound behind holds the others up for a moment, and is then cut off.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import time
import traceback
from collections import deque
from collections.abc import Callable

from pharos.core.fault import INTERNAL, OVERLOADED, TIMEOUT, Fault
from pharos.gateway.models.caching.recording import Recorder
from pharos.gateway.models.caching.spec import Coalesce
from pharos.gateway.models.call import Call, Next, Reply
from pharos.gateway.models.upstream.watchdog import Watchdog
from pharos.mesh.money import decimal_text

_log = logging.getLogger(__name__)

STOPPING_SECONDS = 5.0
"""How long the stopping of a request may take before its leader goes on without."""


class Flight:
    """See the module. ``landed`` is called once, when nobody may join any more."""

    def __init__(
        self,
        call: Call,
        next: Next,
        spec: Coalesce,
        recorder: Recorder | None,
        watch: Callable[[], Watchdog],
        landed: Callable[[], None],
    ) -> None:
        carrier = self.carrier = copy.copy(call)  # its list of attempts is the leader's own
        carrier.sharing = None
        carrier.read = _no_body
        self.reply: Reply | None = None
        """Head of the answer, once there is one; of a whole answer, all of it."""
        self.fault: Fault | None = None
        """Why there is no answer."""
        self.over = False
        """All that will come is here."""
        self.began = time.monotonic()
        self._next = next
        self._watch = watch
        self._window = spec.max_bytes
        self._grace = spec.grace_ms / 1000
        self._recorder = recorder
        self._landed: Callable[[], None] | None = landed
        self._chunks: deque[bytes] = deque()
        self._dropped = 0
        """Chunks that everybody has read and that are gone."""
        self._held = 0
        """Bytes of ``_chunks``."""
        self._seats: list[Seat] = []
        self._read = asyncio.Event()
        """Somebody has read, or left."""
        self.leader = self.board(call)
        self.task = asyncio.create_task(self._fly(), name=f"pharos-flight-{call.id}")
        self.task.add_done_callback(self._end)  # also if it was stopped before it began

    def board(self, call: Call) -> Seat:
        """A seat for one more call."""
        seat = Seat(self, call)
        self._seats.append(seat)
        return seat

    @property
    def readers(self) -> int:
        """Calls that wait for more of it."""
        return sum(not seat.lingers for seat in self._seats)

    async def _fly(self) -> None:
        carrier, recorder = self.carrier, self._recorder
        carrier.watchdog = self._watch()
        try:
            reply = self.reply = await self._next(carrier)
            body = reply.body
            if isinstance(body, bytes):
                if recorder is not None:
                    recorder.whole(carrier, reply, body)
                return
            self._wake()
            if recorder is not None:
                recorder.begin(reply)
            try:
                async for chunk in body:
                    if recorder is not None:
                        recorder.feed(chunk)
                    await self._take(chunk)
            finally:
                await body.aclose()
                if recorder is not None:
                    recorder.end(carrier, reply.content_type)
        except Fault as fault:
            self.fault = fault
        except asyncio.CancelledError:
            self.fault = TIMEOUT("The request was stopped: nobody waited for it any more.")
            raise
        except Exception as error:  # noqa: BLE001 - as in the entrance: the places, not the words
            frames = "".join(traceback.format_tb(error.__traceback__))
            _log.error("defect in the flight of call %s: %s\n%s", carrier.id, type(error).__name__, frames)
            self.fault = INTERNAL()
        finally:
            carrier.watchdog.close()
            if self.fault is not None and self.reply is not None:
                self._break_off(self.fault)
            if recorder is not None:
                recorder.abandon()
            self._end()

    def _end(self, _: asyncio.Task[None] | None = None) -> None:
        self.over = True
        self._close()
        self._wake()

    def _break_off(self, fault: Fault) -> None:
        """The answer has begun and will not end as it should."""
        frame = self.carrier.dialect.write_stream_fault(fault.document)
        self._chunks.append(frame)
        self._held += len(frame)
        self.carrier.outcome, self.carrier.fault = "incomplete", fault.code

    async def _take(self, chunk: bytes) -> None:
        """More of the answer is here. Returns when there is room for the next."""
        self._chunks.append(chunk)
        self._held += len(chunk)
        if self.carrier.ended:
            self.over = True
            self._close()
        self._wake()
        if self._held > self._window:
            self._close()
            await self._room()

    async def _room(self) -> None:
        """Let go of what everybody has read, until the window holds the rest.

        Where all are slow, the provider waits for them, as it would for one. Where some wait for more, the others hold
        them up for a moment only.
        """
        patience: float | None = None
        while True:
            self._trim()
            if self._held <= self._window:
                return
            self._read.clear()
            if not any(seat.waits for seat in self._seats):
                patience = None
                await self._read.wait()
                continue
            now = time.monotonic()
            if patience is None:
                patience = now + self._grace
            try:
                async with asyncio.timeout(patience - now):
                    await self._read.wait()
            except TimeoutError:
                self._cut()

    def _trim(self) -> None:
        end = self._dropped + len(self._chunks)
        read = min((seat.position for seat in self._seats if not seat.lingers), default=end)
        while self._dropped < read:
            self._held -= len(self._chunks.popleft())
            self._dropped += 1

    def _cut(self) -> None:
        """Those who still have the first chunk before them are cut off. Somebody waits for more, so not all are."""
        for seat in self._seats:
            if seat.position <= self._dropped and not seat.lingers:
                seat.cut = seat.lingers = True
        if self.leader.cut and (heir := self._heir()) is not None:
            self._promote(heir)

    def _close(self) -> None:
        """Nobody may join any more."""
        landed, self._landed = self._landed, None
        if landed is not None:
            landed()

    def _wake(self) -> None:
        for seat in self._seats:
            seat.wake()

    def unread(self, seat: Seat) -> bytes:
        """What a seat has not read yet, in one piece."""
        start = seat.position - self._dropped
        chunks = self._chunks
        count = len(chunks) - start
        if count <= 0:
            return b""
        seat.position += count
        self._read.set()
        return chunks[-1] if count == 1 else b"".join([chunks[place] for place in range(start, len(chunks))])

    async def leave(self, seat: Seat) -> None:
        """A call is over, or its client has left."""
        if seat not in self._seats:
            return
        seat.lingers = True
        self._read.set()
        try:
            if not self.over:
                if seat is self.leader and (heir := self._heir()) is not None:
                    self._promote(heir)
                if all(other.lingers for other in self._seats):
                    self.task.cancel()
                    await asyncio.wait({self.task}, timeout=STOPPING_SECONDS)
                elif seat is self.leader:
                    # Nobody can take over what was spent so far: the leader pays to the end, for those who follow.
                    await asyncio.wait({self.task})
        finally:
            self._seats.remove(seat)
            self._read.set()

    def _heir(self) -> Seat | None:
        """Who can take the lead."""
        return next((seat for seat in self._seats if not seat.lingers and self._can_pay(seat)), None)

    def _can_pay(self, seat: Seat) -> bool:
        """Whether what a call holds covers all of the flight: one attempt at the model's own targets, as its own
        would be. What came after a failed one, or the rule of a dearer target, was held by the leader alone."""
        purse, carrier = seat.call.purse, self.carrier
        attempts = carrier.attempts
        if purse is None or not attempts:
            return True
        if len(attempts) > 1 or attempts[0].target not in seat.call.model.targets:
            return False
        if carrier.purse is not None:
            return purse.held >= carrier.purse.held
        return not seat.call.model.ruled

    def _promote(self, heir: Seat) -> None:
        former, carrier = self.leader.call, self.carrier
        call = heir.call
        self.leader = heir
        call.attempts, former.attempts = carrier.attempts, []
        carrier.purse = call.purse
        call.candidates = carrier.candidates
        call.route = {**carrier.route, "tookOver": former.id}
        call.cached = None
        if call.model.cache is not None:
            call.model.cache.shelf.tally.promoted += 1


class Seat:
    """One call's place in a flight. It is the body of its reply, where the answer is a stream."""

    __slots__ = ("_closed", "_flight", "_waiter", "call", "cut", "lingers", "position")

    def __init__(self, flight: Flight, call: Call) -> None:
        self._flight = flight
        self._waiter: asyncio.Future[None] | None = None
        self.call = call
        self.cut = False
        """It was too far behind and gets no more."""
        self.lingers = False
        """It reads no more, and may have to wait for the end all the same."""
        self._closed = False
        self.position = 0
        """Chunks it has read."""

    @property
    def waits(self) -> bool:
        """Whether it has read all that is here and wants more."""
        return self._waiter is not None

    def wake(self) -> None:
        """Something has come."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _wait(self) -> None:
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        self._flight._read.set()
        try:
            await waiter
        finally:
            self._waiter = None

    @property
    def leads(self) -> bool:
        """Whether this call pays."""
        return self._flight.leader is self

    async def reply(self) -> Reply:
        """The answer as it begins. Raises the flight's fault, if it had no answer; :attr:`leads` says whose it is."""
        flight = self._flight
        try:
            while flight.reply is None and not flight.over:
                await self._wait()
            carrier, call = flight.carrier, self.call
            reply = flight.reply
            if self.leads:
                call.candidates, call.passed = carrier.candidates, carrier.passed
                call.route = {**carrier.route, **({"tookOver": took} if (took := call.route.get("tookOver")) else {})}
            if reply is None:
                raise flight.fault or INTERNAL()
            headers = list(reply.headers)
            if not isinstance(reply.body, bytes):
                return Reply(reply.status, reply.content_type, self, headers)
            # The provider's end is in the answer's own task: until that has ended, nothing is settled.
            while not flight.over:
                await self._wait()
            self._close_books()
        except BaseException:
            await flight.leave(self)
            raise
        await flight.leave(self)
        return Reply(reply.status, reply.content_type, reply.body, headers)

    def __aiter__(self) -> Seat:
        return self

    async def __anext__(self) -> bytes:
        flight = self._flight
        while True:
            if self.cut:
                return await self._cut_off()
            chunk = flight.unread(self)
            if flight.over:
                said = self._closed
                self._close_books()
                if not chunk:
                    if not said:  # its last bytes have left as if more would come: the answer's end is to be said
                        self.call.ended = False
                    raise StopAsyncIteration
            if chunk:
                return chunk
            await self._wait()

    async def aclose(self) -> None:
        """No more is read."""
        call = self.call
        if not call.ended and call.outcome == "unknown":
            call.outcome = "cancelled"
        await self._flight.leave(self)

    def _close_books(self) -> None:
        """All has come: what the carrier's end was is this call's, and who follows knows what it was spared."""
        flight, call = self._flight, self.call
        if self._closed:
            return
        self._closed = True
        carrier = flight.carrier
        call.outcome, call.fault, call.ended = carrier.outcome, carrier.fault, True
        cached = call.cached
        if cached is None or not carrier.attempts:
            return
        attempt = carrier.attempt
        cached["usage"] = attempt.usage
        if attempt.rates is not None:
            cached["saved"] = call.route["saved"] = decimal_text(attempt.cost)
            if call.model.cache is not None:
                call.model.cache.shelf.tally.saved += attempt.cost

    async def _cut_off(self) -> bytes:
        call, flight = self.call, self._flight
        if call.ended:
            raise StopAsyncIteration
        # Who pays is not done before the provider is.
        while self.leads and not flight.over:
            await self._wait()
        call.outcome, call.fault, call.ended = "incomplete", OVERLOADED.code, True
        fault = OVERLOADED("The answer is shared, and this client fell too far behind the others.")
        return call.dialect.write_stream_fault(fault.document)


async def _no_body() -> bytes:
    return b""
