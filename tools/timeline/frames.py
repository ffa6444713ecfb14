"""What every page frame held, and from when to when: the page side of a recording as lifetimes of blocks.

At any moment a frame that an event has mentioned is in exactly one block of one kind: free in the buddy, cached by a CPU,
or in use (pages, a slab, a large object). A block that changes is closed, and what it became is opened: so the state at
a time t is all rows with start <= t < end, and they do not overlap. Frames in no row have been in use since before the
recording.

Free blocks merge here as in the kernel (mm/buddy.c, B5): with a free buddy of the same order in the same zone, always.
Free and cached blocks are powers of two, aligned; so the block around a frame is found by clearing its low bits. Blocks in
use may be any run.

A stream with losses contradicts itself. Then the last event is believed and `gaps` is counted.
"""

from array import array

from event_file import NO_CACHE

from .events import MAX_ORDER

FREE, CACHED, PAGES, SLAB, LARGE = range(5)
WHAT_NAMES = ("free", "cached by a CPU", "pages", "slab", "large object")
OPEN = 0xFFFFFFFF  # the end of what is still there at the end

Blocks = dict[int, int]  # first frame: row


class Frames:
    def __init__(self, borders: list[int]) -> None:
        self.start, self.end = array("I"), array("I")  # time units
        self.frame, self.frames = array("I"), array("I")
        self.what, self.cache, self.site = array("B"), array("H"), array("H")
        self.free: Blocks = {}
        self.cached: Blocks = {}
        self.used: Blocks = {}
        self.borders = borders  # frames where a zone ends and another begins: no block lies across
        self.gaps = 0

    # --- Rows ---

    def _open(self, t: int, frame: int, frames: int, what: int, cache: int = NO_CACHE, site: int = 0) -> int:
        self.start.append(t)
        self.end.append(OPEN)
        self.frame.append(frame)
        self.frames.append(frames)
        self.what.append(what)
        self.cache.append(cache)
        self.site.append(site)
        return len(self.start) - 1

    def _add_run(self, blocks: Blocks, t: int, first: int, end: int, what: int) -> None:
        """[first, end) as the fewest aligned blocks."""
        while first < end:
            order = min(MAX_ORDER, (end - first).bit_length() - 1)
            if first:
                order = min(order, (first & -first).bit_length() - 1)
            blocks[first] = self._open(t, first, 1 << order, what)
            first += 1 << order

    def _around(self, blocks: Blocks, frame: int) -> int | None:
        """The row of the block that has the frame."""
        head = frame
        while frame - head < 1 << MAX_ORDER:
            row = blocks.get(head)
            if row is not None:
                return row if head + self.frames[row] > frame else None
            if not head:
                return None
            head &= head - 1
        return None

    def _take(self, blocks: Blocks, t: int, first: int, count: int) -> bool:
        """Removes [first, first + count) from the blocks, and splits what lies across its ends. True: it was all there."""
        what = FREE if blocks is self.free else CACHED
        row = self._around(blocks, first)
        end = first + count
        if row is not None and self.frame[row] + self.frames[row] >= end:
            head, behind = self.frame[row], self.frame[row] + self.frames[row]
            del blocks[head]
            self.end[row] = t
            self._add_run(blocks, t, head, first, what)
            self._add_run(blocks, t, end, behind, what)
            return True
        return self._take_pieces(blocks, t, first, end, what) == count

    def _take_pieces(self, blocks: Blocks, t: int, first: int, end: int, what: int) -> int:
        taken = 0
        row = self._around(blocks, first)
        heads = [] if row is None or self.frame[row] == first else [self.frame[row]]
        if end - first <= len(blocks):
            heads += [head for head in range(first, end) if head in blocks]
        else:
            heads += sorted(head for head in blocks if first <= head < end)
        for head in heads:
            row = blocks.pop(head)
            self.end[row] = t
            behind = head + self.frames[row]
            taken += min(behind, end) - max(head, first)
            self._add_run(blocks, t, head, first, what)
            self._add_run(blocks, t, end, behind, what)
        return taken

    def _release(self, t: int, first: int, count: int) -> None:
        """What is in use there is no longer."""
        if count <= len(self.used):
            heads = [head for head in range(first, first + count) if head in self.used]
        else:
            heads = [head for head in self.used if first <= head < first + count]
        for head in heads:
            self.end[self.used.pop(head)] = t

    # --- The state at the start ---

    def already_free(self, frame: int, order: int) -> None:
        self.free[frame] = self._open(0, frame, 1 << order, FREE)

    def already_slab(self, frame: int, frames: int, cache: int) -> None:
        self.used[frame] = self._open(0, frame, frames, SLAB, cache)

    # --- Events ---

    def from_buddy(self, t: int, frame: int, order: int) -> None:
        if not self._take(self.free, t, frame, 1 << order):
            self.gaps += 1
            self._take_pieces(self.cached, t, frame, frame + (1 << order), CACHED)
        self.cached[frame] = self._open(t, frame, 1 << order, CACHED)

    def to_buddy(self, t: int, frame: int, order: int) -> None:
        if self._around(self.free, frame) is not None:
            self.gaps += 1
            self._take(self.free, t, frame, 1 << order)
        self._take(self.cached, t, frame, 1 << order)
        self._release(t, frame, 1 << order)
        while order < MAX_ORDER:
            row = self.free.get(frame ^ (1 << order))
            parent = frame & ~(1 << order)
            if row is None or self.frames[row] != 1 << order or self._has_border(parent, 2 << order):
                break
            self.end[row] = t
            del self.free[frame ^ (1 << order)]
            frame, order = parent, order + 1
        self.free[frame] = self._open(t, frame, 1 << order, FREE)

    def _has_border(self, frame: int, frames: int) -> bool:
        return any(frame < border < frame + frames for border in self.borders)

    def use(self, t: int, frame: int, frames: int, what: int, cache: int = NO_CACHE, site: int = 0) -> None:
        """Pages go to a caller of the page allocator; or, from the same frame on, become a slab or a large object."""
        row = self.used.get(frame)
        if row is not None and what != PAGES and self.what[row] == PAGES:
            self.what[row], self.cache[row] = what, cache
            self.site[row] = site or self.site[row]
            return
        if row is not None:
            self.gaps += 1
            self.end[row] = t
        if not self._take(self.cached, t, frame, frames):
            self._take(self.free, t, frame, frames)
        self.used[frame] = self._open(t, frame, frames, what, cache, site)

    def become_pages(self, t: int, frame: int) -> None:
        """A slab or a large object gives its pages back: until the page allocator says so too, they are plain pages."""
        row = self.used.get(frame)
        if row is not None and self.what[row] != PAGES:
            self.end[row] = t
            self.used[frame] = self._open(t, frame, self.frames[row], PAGES)

    def unuse(self, t: int, frame: int, frames: int) -> int:
        """Pages come back from a caller, into a CPU's cache for a start. The call site that they belonged to."""
        row = self.used.pop(frame, None)
        if row is None:  # from before the recording
            row = self._open(0, frame, frames, PAGES)
        self.end[row] = t
        if self._around(self.cached, frame) is None:
            self._add_run(self.cached, t, frame, frame + frames, CACHED)
        return self.site[row]
