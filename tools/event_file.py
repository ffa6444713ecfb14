"""Reads a file of events, docs/events.md: the records, and the names that they use.

A file may be large: records stay tuples of numbers, in the order of the file, and are sorted by time once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

RECORD = struct.Struct("<QQQHHBBBB")
MAGIC = 0x5645415441525453
VERSION = 1
NO_CACHE = 0xFFFF

HEADER, NAME_SITE, NAME_CACHE, MEMORY, LOST, ALREADY_FREE, ALREADY_SLAB, ALREADY_OBJECTS, END = range(1, 10)
PAGES_ALLOC, PAGES_FREE, SPLIT, MERGE, PAGES_REFILL, PAGES_DRAIN, BUDDY_ALLOC, BUDDY_FREE = range(16, 24)
OBJECT_ALLOC, OBJECT_FREE, SLAB_NEW, SLAB_GONE, MAGAZINE_REFILL, MAGAZINE_DRAIN = range(32, 38)
LARGE_ALLOC, LARGE_FREE = 40, 41
VMALLOC, VFREE = 44, 45
RECLAIM, OUT_OF_MEMORY = 48, 49

KINDS: dict[int, str] = {
    HEADER: "header", NAME_SITE: "name-site", NAME_CACHE: "name-cache", MEMORY: "memory", LOST: "lost",
    ALREADY_FREE: "already-free", ALREADY_SLAB: "already-slab", ALREADY_OBJECTS: "already-objects", END: "end",
    PAGES_ALLOC: "pages-alloc", PAGES_FREE: "pages-free", SPLIT: "split", MERGE: "merge",
    PAGES_REFILL: "pages-refill", PAGES_DRAIN: "pages-drain", BUDDY_ALLOC: "buddy-alloc", BUDDY_FREE: "buddy-free",
    OBJECT_ALLOC: "object-alloc", OBJECT_FREE: "object-free", SLAB_NEW: "slab-new", SLAB_GONE: "slab-gone",
    MAGAZINE_REFILL: "magazine-refill", MAGAZINE_DRAIN: "magazine-drain", LARGE_ALLOC: "large-alloc",
    LARGE_FREE: "large-free", VMALLOC: "vmalloc", VFREE: "vfree", RECLAIM: "reclaim", OUT_OF_MEMORY: "out-of-memory",
}


class Event(NamedTuple):
    """struct event of mm/event.h."""

    time: int
    address: int
    size: int
    site: int
    cache: int
    kind: int
    cpu: int
    order: int
    node: int


class NotEvents(Exception):
    """The file is none of events; the text says why."""


class EventFile:
    """A whole file. `events` has every record but the header and the names, by time."""

    def __init__(self, data: bytes) -> None:
        self.sites: dict[int, str] = {}
        self.caches: dict[int, str] = {}
        self.object_size: dict[int, int] = {}
        if not data:
            raise NotEvents("the file is empty: was anything recorded?")
        if len(data) < RECORD.size:
            raise NotEvents("the file is shorter than one record")
        header = Event(*RECORD.unpack_from(data))
        if header.kind != HEADER or header.address != MAGIC:
            raise NotEvents("the file does not begin with the header of a file of events")
        if header.size != VERSION:
            raise NotEvents(f"the format has version {header.size}, this tool knows {VERSION}")
        self.ticks_a_second = header.time
        self.cut = len(data) % RECORD.size
        self.events = list(self._records(data[: len(data) - self.cut]))
        self.complete = bool(self.events) and self.events[-1].kind == END
        self.events.sort(key=lambda e: e.time)  # stable: a CPU's stay in their order

    def _records(self, data: bytes) -> Iterator[Event]:
        at = RECORD.size
        while at < len(data):
            e = Event(*RECORD.unpack_from(data, at))
            at += RECORD.size
            if e.kind not in (NAME_SITE, NAME_CACHE):
                yield e
                continue
            text = data[at : at + e.size].decode("utf-8", "replace")
            at += (e.size + RECORD.size - 1) // RECORD.size * RECORD.size
            if at > len(data):
                self.cut += RECORD.size
            if e.kind == NAME_SITE:
                self.sites[e.site] = text
            else:
                self.caches[e.cache] = text
                self.object_size[e.cache] = e.address

    def site(self, number: int) -> str:
        return self.sites.get(number, f"site {number}") if number else ""

    def cache(self, number: int) -> str:
        return self.caches.get(number, f"cache {number}") if number != NO_CACHE else ""


def read(path: str) -> EventFile:
    with open(path, "rb") as file:
        return EventFile(file.read())
