"""Reads an event file: 32-byte records that the kernel, or a replay on the host, wrote while memory was in use (docs/events.md).

Nothing in the file is trusted. What breaks a rule of the format raises BadFile, with a text that says what and where.

tools/event_file.py knows the format too, with an object a record; here a million records are read in a second, by columns.
Records come from several CPUs' rings and may be out of order between CPUs: `events` is sorted by time (a stable sort, so a
CPU's own order stays), behind the records that tell the state at the start.
"""

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field

from event_file import (ALREADY_FREE, ALREADY_OBJECTS, ALREADY_SLAB, BUDDY_ALLOC, BUDDY_FREE, END, HEADER, KINDS, LOST, MAGIC,
                        MEMORY, MERGE, NAME_CACHE, NAME_SITE, PAGES_ALLOC, PAGES_FREE, RECORD, SPLIT, VERSION)

SIZE = RECORD.size
MAX_ORDER = 18
PAGE = 4096
HAPPENED = {kind: name for kind, name in KINDS.items() if kind >= PAGES_ALLOC}
STATE = (MEMORY, ALREADY_FREE, ALREADY_SLAB, ALREADY_OBJECTS)
KINDS_END = 64  # kinds that this program does not know are passed over, below this one
LONGEST_NAME = 4096
BLOCK_KINDS = frozenset((ALREADY_FREE, PAGES_ALLOC, PAGES_FREE, SPLIT, MERGE, BUDDY_ALLOC, BUDDY_FREE))


class BadFile(Exception):
    """The file is not a whole event file; the text says why."""


@dataclass
class Recording:
    """A file's content, names apart from events."""

    ticks_per_second: int = 0
    sites: dict[int, str] = field(default_factory=dict)  # number: "function file:line"
    caches: dict[int, tuple[str, int]] = field(default_factory=dict)  # number: name, bytes an object
    state: bytes = b""  # the records of STATE, in the file's order
    events: bytes = b""  # the others that happened, by time
    counts: dict[int, int] = field(default_factory=dict)  # events of each kind
    lost: dict[int, int] = field(default_factory=dict)  # by CPU
    first: int = 0  # ticks
    last: int = 0
    complete: bool = False  # has its end record

    def __len__(self) -> int:
        return len(self.events) // SIZE


def read(data: bytes, partial: bool = False) -> Recording:
    """The recording in the bytes of a file. partial: what was cut off is left out; otherwise it is an error."""
    recording = Recording()
    _read_header(data, recording)
    if len(data) % SIZE and not partial:
        raise BadFile("truncated: %d bytes after the last whole record; --partial shows what is before" % (len(data) % SIZE))
    body = _take_names(data[:len(data) // SIZE * SIZE], recording, partial)
    _check(body)
    _sort(body, recording)
    if not recording.complete and not partial:
        raise BadFile("truncated: no end record after %d events; --partial shows what is there" % len(recording))
    if not recording.events:
        raise BadFile("holds no events: was anything traced?")
    return recording


def _read_header(data: bytes, recording: Recording) -> None:
    if not data:
        raise BadFile("empty")
    if len(data) < SIZE or int.from_bytes(data[8:16], "little") != MAGIC or data[28] != HEADER:
        raise BadFile("not an event file: it does not begin with the header STRATAEV")
    time, _, version, *_ = RECORD.unpack_from(data)
    if version != VERSION:
        raise BadFile("version %d of the format; this program reads version %d" % (version, VERSION))
    recording.ticks_per_second = time


def _take_names(data: bytes, recording: Recording, partial: bool) -> bytes:
    """Reads the name records, whose texts lie between other records, and returns the records without them."""
    kinds = data[28::SIZE]
    parts, start = [], SIZE
    slots = len(kinds)
    slot = _next_name(kinds, 1)
    while slot < slots:
        _, object_size, length, site, cache, kind, *_ = RECORD.unpack_from(data, slot * SIZE)
        if length > LONGEST_NAME:
            raise BadFile("corrupted: a name of %d bytes in record %d" % (length, slot))
        behind = slot + 1 + (length + SIZE - 1) // SIZE
        parts.append(data[start:slot * SIZE])
        start = behind * SIZE
        if behind > slots:
            if partial:
                break
            raise BadFile("truncated: in the name in record %d; --partial shows what is before" % slot)
        text = data[(slot + 1) * SIZE:(slot + 1) * SIZE + length].decode("utf-8", "replace")
        if kind == NAME_SITE:
            recording.sites[site] = text
        else:
            recording.caches[cache] = (text, object_size)
        slot = _next_name(kinds, behind)
    parts.append(data[start:])
    return b"".join(parts)


def _next_name(kinds: bytes, start: int) -> int:
    found = [place for place in (kinds.find(b"\x02", start), kinds.find(b"\x03", start)) if place >= 0]
    return min(found, default=len(kinds))


def _check(body: bytes) -> None:
    kinds = body[28::SIZE]
    for kind in sorted(set(kinds)):
        if not HEADER < kind < KINDS_END:
            raise BadFile("corrupted: event %d has kind %d, which is none of an event's" % (kinds.index(kind), kind))
    orders = body[30::SIZE]
    for order in sorted(set(orders)):
        if order <= MAX_ORDER:
            continue
        slot = orders.index(order)
        while slot >= 0:
            if kinds[slot] in BLOCK_KINDS:
                raise BadFile("corrupted: event %d has order %d; the highest is %d" % (slot, order, MAX_ORDER))
            slot = orders.find(bytes((order,)), slot + 1)


def _sort(body: bytes, recording: Recording) -> None:
    """Parts the records by what they are, and puts the events in the order of their times."""
    kinds = body[28::SIZE]
    rare = [slot for slot, kind in enumerate(kinds) if kind < PAGES_ALLOC]
    state, parts, start, ends = [], [], 0, []
    for slot in rare:
        record = body[slot * SIZE:(slot + 1) * SIZE]
        parts.append(body[start:slot * SIZE])
        start = (slot + 1) * SIZE
        time, _, size, _, _, kind, cpu, *_ = RECORD.unpack(record)
        if kind in STATE:
            state.append(record)
        elif kind == LOST:
            recording.lost[cpu] = recording.lost.get(cpu, 0) + size
        elif kind == END:
            recording.complete = True
            ends.append(time)
    parts.append(body[start:])
    recording.state = b"".join(state)
    recording.events, times = _in_order(b"".join(parts))
    recording.counts = {kind: count for kind in HAPPENED if (count := recording.events[28::SIZE].count(kind))}
    if times:
        recording.first, recording.last = times[0], max(times[-1], *ends) if ends else times[-1]


def _in_order(events: bytes) -> tuple[bytes, list[int]]:
    times = memoryview(events).cast("Q")[::SIZE // 8].tolist()
    if all(map(operator.le, times, times[1:])):
        return events, times
    order = sorted(range(len(times)), key=times.__getitem__)
    return b"".join([events[i * SIZE:(i + 1) * SIZE] for i in order]), sorted(times)


def records(data: bytes) -> Iterator[tuple[int, int, int, int, int, int, int, int, int]]:
    """The records in bytes: time, address, size, site, cache, kind, cpu, order, node."""
    return RECORD.iter_unpack(data)
