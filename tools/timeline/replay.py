"""Turns a recording into lifetimes: replay(recording) goes through the events once.

Times become units of 32 bits: (ticks - first) >> shift, where `shift` is the smallest that fits the whole recording.

Objects have virtual addresses, slabs physical ones. Where the kernel maps all memory is not in the file; it is found by
vote: each object says at which offsets it would lie in a slab of its cache, and the right one is what all agree on
(`direct_map`; None when too few agree, and then objects are shown but not placed).
"""

import operator
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import event_file as ev

from .events import PAGE, BadFile, Recording, records
from .frames import LARGE, PAGES, SLAB, Frames
from .objects import AREA, LARGE_OBJECT, OBJECT, Accounts, Objects

VOTERS, LARGEST_SLAB = 512, 64 * PAGE
MOST_BYTES = 1 << 44  # frame numbers have 32 bits
ADDRESSES = 1 << 64


@dataclass
class Zone:
    first: int  # frame
    frames: int
    node: int
    zone: int


@dataclass
class Timeline:
    recording: Recording
    zones: list[Zone]
    frames: Frames
    objects: Objects
    page_sites: Accounts  # of callers of the page allocator, where they are recorded
    shift: int
    span: int  # units
    direct_map: int | None
    already: dict[int, tuple[int, int]] = field(default_factory=dict)  # cache: objects, bytes that were there at the start
    marks: list[tuple[int, int]] = field(default_factory=list)  # (t, kind) of the other events

    @property
    def seconds(self) -> float:
        """A unit in seconds; 0 when the file does not say."""
        return (1 << self.shift) / self.recording.ticks_per_second if self.recording.ticks_per_second else 0.0

    @property
    def gaps(self) -> int:
        return self.frames.gaps + self.objects.gaps


def replay(recording: Recording) -> Timeline:
    span = recording.last - recording.first
    shift = max(0, span.bit_length() - 31)
    zones = _zones(recording)
    borders = sorted({border for a in zones for border in (a.first, a.first + a.frames)
                      if not any(b is not a and b.zone == a.zone and b.node == a.node
                                 and border in (b.first, b.first + b.frames) for b in zones)})
    timeline = Timeline(recording, zones, Frames(borders), Objects(), Accounts(), shift, span >> shift, find_direct_map(recording))
    try:
        _start(timeline)
    except OverflowError:
        raise BadFile("corrupted: what is said to be there at the start lies beyond all memory") from None
    _Replayer(timeline).run()
    if not zones:
        zones += _around_all(timeline.frames)
    return timeline


def _around_all(frames: Frames) -> list[Zone]:
    """For a file that names no memory: as one zone, what its events touch."""
    first = min(frames.frame, default=0)
    end = max(map(operator.add, frames.frame, frames.frames), default=1)
    return [Zone(first, max(1, end - first), 0, 0)]


def _zones(recording: Recording) -> list[Zone]:
    zones = [Zone(address // PAGE, size // PAGE, node, zone)
             for _, address, size, _, _, kind, _, zone, node in records(recording.state) if kind == ev.MEMORY]
    return sorted(zones, key=lambda zone: zone.first)


def _start(timeline: Timeline) -> None:
    for _, address, size, _, cache, kind, _, order, _ in records(timeline.recording.state):
        if kind == ev.ALREADY_FREE:
            timeline.frames.already_free(address // PAGE, order)
        elif kind == ev.ALREADY_SLAB:
            timeline.frames.already_slab(address // PAGE, _frames(size), cache)
        elif kind == ev.ALREADY_OBJECTS:
            timeline.already[cache] = (address, size)


def find_direct_map(recording: Recording) -> int | None:
    """The virtual address of physical address 0, by vote."""
    slabs: dict[int, list[tuple[int, int]]] = defaultdict(list)
    votes: Counter[int] = Counter()
    voters = 0
    for data in (recording.state, recording.events):
        for _, address, size, _, cache, kind, _, _, _ in records(data):
            if kind in (ev.SLAB_NEW, ev.ALREADY_SLAB):
                slabs[cache].append((address, size))
            elif kind == ev.OBJECT_ALLOC and 0 < len(slabs[cache]) <= 64:
                page = address // PAGE * PAGE
                votes.update({(page - first - inside) % ADDRESSES for first, bytes_ in slabs[cache]
                              for inside in range(0, min(max(bytes_, 1), LARGEST_SLAB), PAGE)})
                voters += 1
                if voters == VOTERS:
                    break
    best, count = max(votes.items(), key=lambda vote: (vote[1], _roundness(vote[0])), default=(0, 0))
    return best if voters and count * 10 >= voters * 9 else None


def _roundness(offset: int) -> int:
    return offset & -offset


def _frames(size: int) -> int:
    if size >= MOST_BYTES:
        raise OverflowError
    return max(1, size // PAGE)


class _Replayer:
    """One method a kind of event: t, address, size, site, cache, order."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.frames, self.objects = timeline.frames, timeline.objects
        self.sizes = {cache: size for cache, (_, size) in timeline.recording.caches.items()}
        self.methods: dict[int, Callable[[int, int, int, int, int, int], None]] = {
            ev.OBJECT_ALLOC: self.object_alloc, ev.OBJECT_FREE: self.object_free, ev.PAGES_ALLOC: self.pages_alloc,
            ev.PAGES_FREE: self.pages_free, ev.BUDDY_ALLOC: self.buddy_alloc, ev.BUDDY_FREE: self.buddy_free,
            ev.SLAB_NEW: self.slab_new, ev.SLAB_GONE: self.slab_gone, ev.LARGE_ALLOC: self.large_alloc,
            ev.LARGE_FREE: self.large_free, ev.VMALLOC: self.vmalloc, ev.VFREE: self.vfree}

    def run(self) -> None:
        recording, marks = self.timeline.recording, self.timeline.marks
        first, shift, methods = recording.first, self.timeline.shift, self.methods
        try:
            for time, address, size, site, cache, kind, _, order, _ in records(recording.events):
                method = methods.get(kind)
                if method:
                    method((time - first) >> shift, address, size, site, cache, order)
                else:
                    marks.append(((time - first) >> shift, kind))
        except OverflowError:
            raise BadFile("corrupted: an event of kind %d at address %#x with size %#x, beyond all memory" % (kind, address, size)) from None

    def object_alloc(self, t: int, address: int, size: int, site: int, cache: int, _: int) -> None:
        self.objects.alloc(t, address, size, site, cache, OBJECT)

    def object_free(self, t: int, address: int, size: int, site: int, cache: int, _: int) -> None:
        self.objects.free(t, address, site, cache, OBJECT, size or self.sizes.get(cache, 0))

    def pages_alloc(self, t: int, address: int, size: int, site: int, cache: int, order: int) -> None:
        frames = _frames(size) if size else 1 << order
        self.frames.use(t, address // PAGE, frames, PAGES, ev.NO_CACHE, site)
        if site:
            self.timeline.page_sites[site].take(t, frames * PAGE)

    def pages_free(self, t: int, address: int, size: int, site: int, cache: int, order: int) -> None:
        frames = _frames(size) if size else 1 << order
        site = self.frames.unuse(t, address // PAGE, frames)
        if site in self.timeline.page_sites:
            self.timeline.page_sites[site].give(frames * PAGE)

    def buddy_alloc(self, t: int, address: int, size: int, site: int, cache: int, order: int) -> None:
        self.frames.from_buddy(t, address // PAGE, order)

    def buddy_free(self, t: int, address: int, size: int, site: int, cache: int, order: int) -> None:
        self.frames.to_buddy(t, address // PAGE, order)

    def slab_new(self, t: int, address: int, size: int, site: int, cache: int, order: int) -> None:
        self.frames.use(t, address // PAGE, _frames(size), SLAB, cache)

    def slab_gone(self, t: int, address: int, size: int, site: int, cache: int, order: int) -> None:
        self.frames.become_pages(t, address // PAGE)

    def large_alloc(self, t: int, address: int, size: int, site: int, cache: int, order: int) -> None:
        self.objects.alloc(t, address, size, site, ev.NO_CACHE, LARGE_OBJECT)
        frame = self._frame(address)
        if frame is not None:
            self.frames.use(t, frame, _frames(size + PAGE - 1), LARGE, ev.NO_CACHE, site)

    def large_free(self, t: int, address: int, size: int, site: int, cache: int, order: int) -> None:
        self.objects.free(t, address, site, ev.NO_CACHE, LARGE_OBJECT, size)
        frame = self._frame(address)
        if frame is not None:
            self.frames.become_pages(t, frame)

    def vmalloc(self, t: int, address: int, size: int, site: int, cache: int, order: int) -> None:
        self.objects.alloc(t, address, size, site, ev.NO_CACHE, AREA)

    def vfree(self, t: int, address: int, size: int, site: int, cache: int, order: int) -> None:
        self.objects.free(t, address, site, ev.NO_CACHE, AREA, size)

    def _frame(self, address: int) -> int | None:
        if self.timeline.direct_map is None:
            return None
        frame = (address - self.timeline.direct_map) % ADDRESSES // PAGE
        return frame if frame < 1 << 32 else None
