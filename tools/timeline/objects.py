"""Objects (of caches and kmalloc, large ones, and areas of vmalloc) as lifetimes, and the accounts of their call sites."""

from array import array
from dataclasses import dataclass

from .frames import OPEN

OBJECT, LARGE_OBJECT, AREA = range(3)


@dataclass
class Account:
    """What one call site, or one cache, asked for and gave back."""

    allocations: int = 0
    frees: int = 0
    bytes: int = 0  # that were ever asked for
    live: int = 0  # objects
    live_bytes: int = 0
    peak_bytes: int = 0
    peak_time: int = 0

    def take(self, t: int, size: int) -> None:
        self.allocations += 1
        self.bytes += size
        self.live += 1
        self.live_bytes += size
        if self.live_bytes > self.peak_bytes:
            self.peak_bytes, self.peak_time = self.live_bytes, t

    def give(self, size: int) -> None:
        self.frees += 1
        self.live -= 1
        self.live_bytes -= size


class Accounts(dict[int, Account]):
    def __missing__(self, number: int) -> Account:
        account = self[number] = Account()
        return account


class Objects:
    """Rows in the order of allocation, but those from before the recording, which are found when they are freed."""

    def __init__(self) -> None:
        self.start, self.end = array("I"), array("I")
        self.address, self.size = array("Q"), array("I")
        self.site, self.cache, self.kind = array("H"), array("H"), array("B")
        self.live: dict[int, int] = {}  # address: row
        self.sites, self.caches, self.total = Accounts(), Accounts(), Account()
        self.old_frees: dict[int, int] = {}  # cache: frees of objects from before the recording
        self.old_rows: list[int] = []  # their rows
        self.gaps = 0

    def _row(self, start: int, end: int, address: int, size: int, site: int, cache: int, kind: int) -> int:
        self.start.append(start)
        self.end.append(end)
        self.address.append(address)
        self.size.append(min(size, OPEN))
        self.site.append(site)
        self.cache.append(cache)
        self.kind.append(kind)
        return len(self.start) - 1

    def alloc(self, t: int, address: int, size: int, site: int, cache: int, kind: int) -> None:
        if address in self.live:  # its free was lost
            self.gaps += 1
            self.free(t, address, 0, cache, kind, 0)
        self.live[address] = self._row(t, OPEN, address, size, site, cache, kind)
        self.sites[site].take(t, size)
        self.caches[cache].take(t, size)
        self.total.take(t, size)

    def free(self, t: int, address: int, site: int, cache: int, kind: int, size: int) -> None:
        """size: of what was there before the recording, where nothing else says it."""
        row = self.live.pop(address, None)
        if row is None:
            self.old_rows.append(self._row(0, t, address, size, site, cache, kind))
            self.old_frees[cache] = self.old_frees.get(cache, 0) + 1
            return
        self.end[row] = t
        size = self.size[row]
        self.sites[self.site[row]].give(size)
        self.caches[self.cache[row]].give(size)
        self.total.give(size)
