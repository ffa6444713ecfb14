"""Makes the page: web/ with its scripts, the chart library and the data put in place. One file, no network.

The data are the rows of frames.py and objects.py as columns of typed arrays, one behind the other, deflated and in base64;
the browser unpacks them by itself (DecompressionStream) and computes every curve and map from them, for the part of time
that is looked at. Starts are stored as differences and ends as lifetimes, which deflate well.
"""

import base64
import json
import os
import sys
import zlib
from array import array
from collections.abc import Iterable
from typing import Any

from event_file import NO_CACHE

from . import summary
from .events import PAGE
from .frames import OPEN
from .replay import ADDRESSES, Timeline

WEB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "web")
SCRIPTS = ("data.js", "view.js", "series.js", "map.js", "heat.js", "charts.js", "tables.js", "main.js")
WORDS = 0xFFFFFFFF


class Columns:
    """Typed arrays behind each other, each at a multiple of four bytes, and what is where."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.index: list[dict[str, Any]] = []
        self.length = 0

    def add(self, table: str, name: str, values: array, how: str = "plain") -> None:
        if sys.byteorder == "big":
            values = array(values.typecode, values)
            values.byteswap()
        data = values.tobytes()
        data += b"\0" * (-len(data) % 4)
        self.index.append({"table": table, "name": name, "type": values.typecode, "offset": self.length, "rows": len(values),
                           "how": how})
        self.parts.append(data)
        self.length += len(data)

    def add_lifetimes(self, table: str, start: array, end: array) -> None:
        self.add(table, "start", _differences(start), "difference")
        self.add(table, "end", array("I", [OPEN if b == OPEN else b - a for a, b in zip(start, end)]), "lifetime")


def _differences(values: array) -> array:
    return array("I", [(b - a) & WORDS for a, b in zip(array("I", [0]) + values, values)])


def _columns(timeline: Timeline) -> tuple[Columns, dict[str, str]]:
    columns = Columns()
    _add_frames(columns, timeline)
    bases = _add_objects(columns, timeline)
    columns.add("marks", "time", _differences(array("I", [t for t, _ in timeline.marks])), "difference")
    columns.add("marks", "kind", array("B", [kind for _, kind in timeline.marks]))
    return columns, bases


def _add_frames(columns: Columns, timeline: Timeline) -> None:
    """Without what began and ended in the same unit of time: no view shows it."""
    frames = timeline.frames
    rows = [row for row, (start, end) in enumerate(zip(frames.start, frames.end)) if start != end]

    def column(name: str) -> array:
        values = getattr(frames, name)
        return array(values.typecode, map(values.__getitem__, rows))

    columns.add_lifetimes("frames", column("start"), column("end"))
    for name in ("frame", "frames", "what", "cache", "site"):
        columns.add("frames", name, column(name))


def _add_objects(columns: Columns, timeline: Timeline) -> dict[str, str]:
    """Addresses as pages above a base, of the direct map or of vmalloc's areas, and a place in the page."""
    objects = timeline.objects
    mapped = [address for address, kind in zip(objects.address, objects.kind) if kind != 2]
    areas = [address for address, kind in zip(objects.address, objects.kind) if kind == 2]
    base = timeline.direct_map if timeline.direct_map is not None else min(mapped, default=0) // PAGE * PAGE
    area_base = min(areas, default=0) // PAGE * PAGE
    columns.add_lifetimes("objects", objects.start, objects.end)
    bases = (base, base, area_base)
    columns.add("objects", "page", array("I", [((address - bases[kind]) % ADDRESSES >> 12) & WORDS
                                               for address, kind in zip(objects.address, objects.kind)]))
    columns.add("objects", "inside", array("H", [address & (PAGE - 1) for address in objects.address]))
    for name in ("size", "site", "cache", "kind"):
        columns.add("objects", name, getattr(objects, name))
    return {"base": "%#x" % base, "areaBase": "%#x" % area_base}


def _meta(timeline: Timeline, source: str, columns: Columns, bases: dict[str, str]) -> dict[str, Any]:
    figures = summary.figures(timeline)
    return {"source": source, "unit": timeline.seconds, "ticks": 1 << timeline.shift, "span": timeline.span,
            "zones": [vars(zone) for zone in timeline.zones], "columns": columns.index, "bytes": columns.length, **bases,
            "noCache": NO_CACHE, "placed": timeline.direct_map is not None,
            "siteNames": {site: summary.site_name(timeline, site) for site in
                          {0, *timeline.objects.sites, *timeline.page_sites, *timeline.frames.site, *timeline.objects.site}},
            "cacheNames": {cache: summary.cache_name(timeline, cache) for cache in
                           {*timeline.recording.caches, *timeline.frames.cache, *timeline.objects.cache, *timeline.already}
                           if cache != NO_CACHE},
            "objectSizes": {cache: size for cache, (_, size) in timeline.recording.caches.items()},
            "baseline": {cache: list(left) for cache, left in summary.baseline(timeline).items()}, "figures": figures}


def _read(name: str) -> str:
    with open(os.path.join(WEB, name), encoding="utf-8") as f:
        return f.read()


def _script(text: str) -> str:
    """A script's text that cannot end its element early."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def make(timeline: Timeline, source: str, library: dict[str, str]) -> str:
    """The page. library: the chart library's js, css and license."""
    columns, bases = _columns(timeline)
    data = base64.b64encode(zlib.compress(b"".join(columns.parts), 6)).decode()
    meta = json.dumps(_meta(timeline, source, columns, bases), separators=(",", ":")).replace("<", "\\u003c")
    scripts = "\n".join(_script(_read(name)) for name in SCRIPTS)
    return _fill(_read("page.html"), {
        "CSS": library["css"] + "\n" + _read("page.css"), "LICENSE": library["license"].replace("--", "- -"),
        "LIBRARY": _script(library["js"]), "SCRIPTS": scripts, "META": meta, "DATA": data})


def _fill(page: str, values: dict[str, str]) -> str:
    """Puts values in the places %%NAME%%, each once; what is put in is not looked at again."""
    parts: Iterable[str] = page.split("%%")
    return "".join(values[part] if i % 2 else part for i, part in enumerate(parts))
