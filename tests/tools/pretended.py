#!/usr/bin/env python3
"""Makes event files that are consistent, without a kernel: a buddy, page stacks, slabs and call sites in a few lines each.

    python3 tests/tools/pretended.py OUT [--events 1000000] [--memory 64] [--seed 1]

The program that it pretends has sites that come and go, one that leaks steadily, and one that holds on to long-lived
objects, so that free memory falls into small pieces. Used by test_report.py, and to time tools/report.
"""

import argparse
import random
import struct
import sys

RECORD = struct.Struct("<QQQHHBBBB")
MAGIC = int.from_bytes(b"STRATAEV", "little")
(HEADER, NAME_SITE, NAME_CACHE, MEMORY, LOST, ALREADY_FREE, ALREADY_SLAB, ALREADY_OBJECTS, END) = range(1, 10)
PAGES_ALLOC, PAGES_FREE, SPLIT, MERGE, REFILL, DRAIN, BUDDY_ALLOC, BUDDY_FREE = range(16, 24)
OBJECT_ALLOC, OBJECT_FREE, SLAB_NEW, SLAB_GONE, MAGAZINE_REFILL, MAGAZINE_DRAIN = range(32, 38)
LARGE_ALLOC, LARGE_FREE, VMALLOC, VFREE, RECLAIM, OUT_OF_MEMORY = 40, 41, 44, 45, 48, 49
PAGE, TOP = 4096, 10
DIRECT_MAP, VMALLOC_BASE = 0xFFFF800000000000, 0xFFFFC90000000000
TICKS = 1_000_000_000


class Writer:
    """Appends records."""

    def __init__(self, ticks=TICKS, header=True):
        self.parts = []
        self.time = 1_000_000
        if header:
            self.record(HEADER, address=MAGIC, size=1, time=ticks)

    def record(self, kind, address=0, size=0, site=0, cache=0xFFFF, order=0, cpu=0, node=0, time=None):
        self.parts.append(RECORD.pack(self.time if time is None else time, address, size, site, cache, kind, cpu, order, node))

    def name(self, kind, number, text, object_size=0):
        data = text.encode()
        if kind == NAME_SITE:
            self.record(kind, size=len(data), site=number)
        else:
            self.record(kind, size=len(data), cache=number, address=object_size)
        self.parts.append(data.ljust((len(data) + 31) // 32 * 32, b"\0"))

    def bytes(self):
        return b"".join(self.parts)


class Buddy:
    """A textbook buddy with free sets an order; says what it does."""

    def __init__(self, out, first, frames):
        self.out, self.free = out, [set() for _ in range(TOP + 1)]
        for frame in range(first, first + frames, 1 << TOP):
            self.free[TOP].add(frame)

    def alloc(self, order):
        at = next((o for o in range(order, TOP + 1) if self.free[o]), None)
        if at is None:
            return None
        frame = min(self.free[at]) if at > order else self.free[at].pop()
        self.free[at].discard(frame)
        for half in range(at - 1, order - 1, -1):
            self.free[half].add(frame + (1 << half))
        if at > order:
            self.out.record(SPLIT, frame * PAGE, order, order=at)
        self.out.record(BUDDY_ALLOC, frame * PAGE, PAGE << order, order=order)
        return frame

    def give(self, frame, order):
        self.out.record(BUDDY_FREE, frame * PAGE, PAGE << order, order=order)
        was = order
        while order < TOP and frame ^ (1 << order) in self.free[order]:
            self.free[order].remove(frame ^ (1 << order))
            frame &= ~(1 << order)
            order += 1
        if order > was:
            self.out.record(MERGE, frame * PAGE, was, order=order)
        self.free[order].add(frame)

    def frames(self):
        return sum(len(blocks) << order for order, blocks in enumerate(self.free))


class Pages:
    """One CPU's stack of single pages before the buddy."""

    BATCH = 5

    def __init__(self, out, buddy):
        self.out, self.buddy, self.stack = out, buddy, []

    def alloc(self, order=0, site=0):
        if order:
            frame = self.buddy.alloc(order)
        else:
            if not self.stack:
                self.refill()
            frame = self.stack.pop() if self.stack else None
        if frame is None:
            self.out.record(OUT_OF_MEMORY, size=PAGE << order, order=order)
            return None
        self.out.record(PAGES_ALLOC, frame * PAGE, PAGE << order, site, order=order)
        return frame

    def refill(self):
        block = self.buddy.alloc(self.BATCH)
        if block is not None:
            self.stack += range(block + (1 << self.BATCH) - 1, block - 1, -1)
            self.out.record(REFILL, size=1 << self.BATCH)

    def free(self, frame, order=0, site=0):
        self.out.record(PAGES_FREE, frame * PAGE, PAGE << order, site, order=order)
        if order:
            self.buddy.give(frame, order)
            return
        self.stack.append(frame)
        if len(self.stack) > 3 << self.BATCH:
            back, self.stack = self.stack[:1 << self.BATCH], self.stack[1 << self.BATCH:]
            for page in back:
                self.buddy.give(page, 0)
            self.out.record(DRAIN, size=len(back))


class Cache:
    """Slabs of one page each; a slab that is empty goes back."""

    def __init__(self, out, pages, number, size):
        self.out, self.pages, self.number, self.size = out, pages, number, size
        self.capacity = PAGE // size
        self.room, self.slab = {}, {}

    def alloc(self, site, size):
        if not self.room:
            frame = self.pages.alloc()
            if frame is None:
                return None
            self.out.record(SLAB_NEW, frame * PAGE, PAGE, cache=self.number)
            self.room[frame] = list(range(self.capacity))
        frame = next(iter(self.room))
        address = DIRECT_MAP + frame * PAGE + self.room[frame].pop() * self.size
        if not self.room[frame]:
            self.slab[frame] = self.room.pop(frame)
        self.out.record(OBJECT_ALLOC, address, size, site, self.number)
        return address

    def free(self, address, site):
        self.out.record(OBJECT_FREE, address, 0, site, self.number)
        frame, place = (address - DIRECT_MAP) // PAGE, address % PAGE // self.size
        if frame in self.slab:
            self.room[frame] = self.slab.pop(frame)
        self.room[frame].append(place)
        if len(self.room[frame]) == self.capacity and len(self.room) > 1:
            del self.room[frame]
            self.out.record(SLAB_GONE, frame * PAGE, PAGE, cache=self.number)
            self.pages.free(frame)


# site: function file:line, sizes, mean lifetime in steps (0: for ever), weight
SITES = [("inode_alloc fs/inode.c:88", (448,), 4000, 14), ("dentry_new fs/dentry.c:141", (192,), 2500, 18),
         ("skb_alloc net/skb.c:52", (232,), 60, 26), ("name_copy fs/name.c:31", (16, 32, 48, 64, 96), 30, 24),
         ("task_create kernel/task.c:203", (1024,), 6000, 3), ("log_append lib/log.c:77", (96,), 0, 2),
         ("page_cache_add fs/cache.c:119", (), 3000, 7), ("dma_ring_init drivers/ring.c:40", (), 9000, 1),
         ("module_load kernel/module.c:310", (), 20000, 1), ("pipe_create ipc/pipe.c:64", (512,), 900, 4)]
CACHES = [("kmalloc-16", 16), ("kmalloc-32", 32), ("kmalloc-48", 48), ("kmalloc-64", 64), ("kmalloc-96", 96), ("dentry", 192),
          ("skb", 256), ("inode", 448), ("kmalloc-512", 512), ("task", 1024)]


class World:
    """The pretended program; `rng` decides, so a seed is a file."""

    def __init__(self, megabytes=64, seed=1, lost=0):
        self.out, self.rng, self.lost = Writer(), random.Random(seed), lost
        first, frames = 4096, megabytes * 256
        out = self.out
        for number, site in enumerate(SITES, 2):
            out.name(NAME_SITE, number, site[0])
        for number, (name, size) in enumerate(CACHES):
            out.name(NAME_CACHE, number, name, size)
        out.record(MEMORY, first * PAGE, frames // 2 * PAGE, order=1)
        out.record(MEMORY, (first + frames // 2) * PAGE, (frames - frames // 2) * PAGE, order=2)
        self.buddy = Buddy(out, first + 1024, frames - 1024)
        for order, blocks in enumerate(self.buddy.free):
            for frame in sorted(blocks):
                out.record(ALREADY_FREE, frame * PAGE, PAGE << order, order=order)
        out.record(ALREADY_OBJECTS, 12, 12 * 448, cache=7)
        self.pages = Pages(out, self.buddy)
        self.caches = [Cache(out, self.pages, number, size) for number, (_, size) in enumerate(CACHES)]
        self.ends = []  # a calendar: what ends at a step
        self.area = VMALLOC_BASE

    def cache_for(self, size):
        return next(cache for cache in self.caches if cache.size >= size)

    def begin(self, step, number, site):
        """One allocation; how it is undone."""
        name, sizes, life, _ = site
        if sizes:
            size = self.rng.choice(sizes)
            cache = self.cache_for(size)
            address = cache.alloc(number, size)
            undo = (cache.free, (address, number))
        elif "ring" in name:
            address = self.pages.alloc(4, number)
            undo = (self.pages.free, (address, 4, number))
        elif "module" in name:
            address, size = self.area, self.rng.randrange(3, 40) * PAGE
            self.area += size + PAGE
            self.out.record(VMALLOC, address, size, number)
            undo = (self.out.record, (VFREE, address, size, number))
        else:
            address = self.pages.alloc(0, number)
            undo = (self.pages.free, (address, 0, number))
        if address is not None and life:
            self.ends.append((step + 1 + int(self.rng.expovariate(1 / life)), undo))

    def run(self, events):
        import heapq
        out, rng = self.out, self.rng
        weights = [site[3] for site in SITES]
        step = number = 0
        while len(out.parts) < events:
            step += 1
            out.time += rng.randrange(200, 2000)
            wave = 1 + (step // 4000) % 3
            for _ in range(wave):
                index = rng.choices(range(len(SITES)), weights)[0]
                before = len(self.ends)
                self.begin(step, index + 2, SITES[index])
                if len(self.ends) > before:
                    when, undo = self.ends.pop()
                    number += 1
                    heapq.heappush(self.ends, (when, number, undo))
            while self.ends and self.ends[0][0] <= step:
                _, _, (function, arguments) = heapq.heappop(self.ends)
                function(*arguments)
        if self.lost:
            out.record(LOST, size=self.lost, cpu=1)
        out.record(END)
        return out.bytes()


def make(events=20000, megabytes=64, seed=1, lost=0):
    return World(megabytes, seed, lost).run(events)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("--events", type=int, default=20000)
    parser.add_argument("--memory", type=int, default=64, help="MiB")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with open(arguments.out, "wb") as f:
        f.write(make(arguments.events, arguments.memory, arguments.seed))


if __name__ == "__main__":
    sys.exit(main())
