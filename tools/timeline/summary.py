"""The figures of a timeline: heavy call sites, leak candidates, fragmentation at the end. As JSON's values and as text.

Leak candidates are call sites with objects, made in the recording, that are alive at its end. The recording is cut into
PARTS equal parts; a site whose number of live objects rose in at least half of them and never fell `grows steadily`; one
that always had more in the last quarter than ever in the first half, and rose more than twice as often as it fell, `grows`;
others `stay`: what is made once and kept, such as tables. Growth says more than size, so it comes first in the order.
"""

import bisect
from collections.abc import Iterator
from typing import Any

from event_file import NO_CACHE

from .events import HAPPENED, MAX_ORDER, PAGE
from .frames import OPEN, PAGES
from .objects import Account
from .replay import Timeline

PARTS = 16
STEADY, GROWS, STAYS = "grows steadily", "grows", "stays"
VERDICTS = (STEADY, GROWS, STAYS)


def site_name(timeline: Timeline, site: int) -> str:
    return timeline.recording.sites.get(site) or ("site %d" % site if site else "no call site recorded")


def cache_name(timeline: Timeline, cache: int) -> str:
    return timeline.recording.caches.get(cache, ("cache %d" % cache, 0))[0]


def sites(timeline: Timeline) -> list[dict[str, Any]]:
    """Every call site's account, the heaviest at the end first."""
    rows = [_site_row(timeline, site, account, what) for accounts, what in
            ((timeline.objects.sites, "objects"), (timeline.page_sites, "pages")) for site, account in accounts.items()]
    return sorted(rows, key=lambda row: (-row["live_bytes"], -row["peak_bytes"], row["name"]))


def _site_row(timeline: Timeline, site: int, account: Account, what: str) -> dict[str, Any]:
    return {"site": site, "name": site_name(timeline, site), "what": what, **vars(account)}


def leaks(timeline: Timeline) -> list[dict[str, Any]]:
    """The call sites with objects alive at the end, those that grow first."""
    found: dict[tuple[str, int], list[tuple[int, int, int]]] = {}
    for what, site, start, end, size in _lifetimes(timeline):
        found.setdefault((what, site), []).append((start, end, size))
    rows = [_leak_row(timeline, what, site, lives) for (what, site), lives in found.items()
            if any(end == OPEN for _, end, _ in lives)]
    return sorted(rows, key=lambda row: (VERDICTS.index(row["verdict"]), -row["bytes"], row["name"]))


def _lifetimes(timeline: Timeline) -> Iterator[tuple[str, int, int, int, int]]:
    objects, frames = timeline.objects, timeline.frames
    for site, start, end, bytes_ in zip(objects.site, objects.start, objects.end, objects.size):
        yield "objects", site, start, end, bytes_
    for site, what, start, end, count in zip(frames.site, frames.what, frames.start, frames.end, frames.frames):
        if site and what == PAGES:
            yield "pages", site, start, end, count * PAGE


def _leak_row(timeline: Timeline, what: str, site: int, lives: list[tuple[int, int, int]]) -> dict[str, Any]:
    alive = [(start, size) for start, end, size in lives if end == OPEN]
    counts = _live_at_parts(lives, timeline.span)
    rises = sum(b > a for a, b in zip(counts, counts[1:]))
    falls = sum(b < a for a, b in zip(counts, counts[1:]))
    starts = sorted(start for start, _ in alive)
    return {"site": site, "name": site_name(timeline, site), "what": what, "objects": len(alive),
            "bytes": sum(size for _, size in alive), "oldest": timeline.span - starts[0],
            "median_age": timeline.span - starts[len(starts) // 2], "counts": counts, "rises": rises, "falls": falls,
            "verdict": _verdict(counts, rises, falls)}


def _verdict(counts: list[int], rises: int, falls: int) -> str:
    if falls == 0 and rises * 2 >= PARTS:
        return STEADY
    higher = min(counts[PARTS * 3 // 4:]) > max(counts[:PARTS // 2 + 1])
    return GROWS if higher and rises > 2 * falls else STAYS


def _live_at_parts(lives: list[tuple[int, int, int]], span: int) -> list[int]:
    """Live objects at the start and at the end of each part."""
    times = [span * part // PARTS for part in range(PARTS + 1)]
    changes = [0] * (PARTS + 2)
    for start, end, _ in lives:
        changes[bisect.bisect_left(times, start)] += 1
        changes[bisect.bisect_left(times, min(end, span + 1))] -= 1
    counts, live = [], 0
    for change in changes[:PARTS + 1]:
        live += change
        counts.append(live)
    return counts


def free_blocks(timeline: Timeline) -> list[int]:
    """Free blocks of each order at the end."""
    blocks = [0] * (MAX_ORDER + 1)
    for row in timeline.frames.free.values():
        blocks[timeline.frames.frames[row].bit_length() - 1] += 1
    return blocks


def unusable(blocks: list[int], order: int) -> float:
    """The share of free memory in blocks too small for the order (Gorman and Whitcroft 2006); 1 when nothing is free."""
    free = sum(count << at for at, count in enumerate(blocks))
    return sum(count << at for at, count in enumerate(blocks[:order])) / free if free else 1.0


def baseline(timeline: Timeline) -> dict[int, tuple[int, int]]:
    """Objects and bytes, by cache, that were there at the start and were not freed in the recording."""
    left = {}
    for cache, (objects, size) in timeline.already.items():
        freed = timeline.objects.old_frees.get(cache, 0)
        share = size // objects if objects else 0
        left[cache] = (max(0, objects - freed), max(0, size - freed * share))
    return left


def caches(timeline: Timeline) -> list[dict[str, Any]]:
    left = baseline(timeline)
    rows = []
    for cache in sorted(set(left) | {c for c in timeline.objects.caches if c != NO_CACHE}):
        account = timeline.objects.caches.get(cache, Account())
        rows.append({"cache": cache, "name": cache_name(timeline, cache),
                     "object_size": timeline.recording.caches.get(cache, ("", 0))[1], "before": left.get(cache, (0, 0))[0],
                     **vars(account)})
    return rows


def figures(timeline: Timeline) -> dict[str, Any]:
    recording, total, blocks = timeline.recording, timeline.objects.total, free_blocks(timeline)
    return {
        "events": len(recording), "counts": {HAPPENED[kind]: count for kind, count in sorted(recording.counts.items())},
        "complete": recording.complete, "lost": {str(cpu): count for cpu, count in sorted(recording.lost.items())},
        "contradictions": timeline.gaps, "seconds": timeline.seconds * timeline.span, "ticks": timeline.span << timeline.shift,
        "placed": timeline.direct_map is not None, "live_bytes": total.live_bytes, "live_objects": total.live,
        "peak_live_bytes": total.peak_bytes, "peak_time": total.peak_time, "free_bytes": sum(count << at for at, count in enumerate(blocks)) * PAGE,
        "free_blocks": blocks, "largest_free_bytes": max((PAGE << at for at, count in enumerate(blocks) if count), default=0),
        "unusable": [round(unusable(blocks, order), 4) for order in range(MAX_ORDER + 1)],
        "sites": sites(timeline), "leaks": leaks(timeline), "caches": caches(timeline)}


def size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return "%d %s" % (count, unit) if unit == "B" else "%.1f %s" % (count, unit)
        count /= 1024
    return "%.1f GiB" % count


def text(timeline: Timeline, top: int = 12) -> str:
    f = figures(timeline)
    lines = ["events               %d%s" % (f["events"], "" if f["complete"] else " (cut off: no end record)"),
             "lost                 %d" % sum(f["lost"].values()), "contradictions       %d" % f["contradictions"],
             "time                 %s" % ("%.6g s" % f["seconds"] if f["seconds"] else "%d ticks" % f["ticks"]),
             "live at the end      %s in %d objects; peak %s" % (size(f["live_bytes"]), f["live_objects"], size(f["peak_live_bytes"])),
             "free at the end      %s; %.1f %% of it in blocks below 2 MiB; largest block %s" %
             (size(f["free_bytes"]), 100 * f["unusable"][9], size(f["largest_free_bytes"])), "",
             "%-44s %10s %10s %10s %10s %10s" % ("call site", "live", "objects", "peak", "allocs", "frees")]
    lines += ["%-44s %10s %10d %10s %10d %10d" % (row["name"][:44], size(row["live_bytes"]), row["live"], size(row["peak_bytes"]),
                                                 row["allocations"], row["frees"]) for row in f["sites"][:top]]
    lines += ["", "%-44s %14s %10s %10s %6s %6s" % ("alive at the end, by call site", "", "bytes", "objects", "rises", "falls")]
    lines += ["%-44s %14s %10s %10d %6d %6d" % (row["name"][:44], row["verdict"], size(row["bytes"]), row["objects"],
                                               row["rises"], row["falls"]) for row in f["leaks"][:top]]
    return "\n".join(lines) + "\n"
