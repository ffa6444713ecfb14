"""tools/report: what it reads and refuses, that it rebuilds a pretended machine exactly, and its page in a browser.

pretended.py makes the files, from a machine of its own; so what is rebuilt can be compared with what was there. The page is
tested in Chromium (browser.py); where that, or the chart library, is not installed, these tests say so and are skipped.
"""

import functools
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import browser  # noqa: E402
import pretended as ef  # noqa: E402
from timeline import events, replay, summary  # noqa: E402
from timeline.frames import CACHED, FREE, OPEN, PAGES, SLAB  # noqa: E402

BUILD = os.environ.get("BUILD", "build")
LIBRARY = os.path.join(BUILD, "report")
REPORT = [sys.executable, "tools/report"]


def run(*arguments, data=None, **environment):
    """Status, output and errors of tools/report; data: the content of the event file, its last argument then."""
    with tempfile.TemporaryDirectory(prefix="strata-test-") as folder:
        if data is not None:
            path = os.path.join(folder, "events.bin")
            with open(path, "wb") as f:
                f.write(data)
            arguments = (*arguments, path)
        done = subprocess.run([*REPORT, *arguments], capture_output=True, text=True, timeout=300, env={**os.environ, **environment})
        return done.returncode, done.stdout, done.stderr


@functools.cache
def world():
    """A machine that ran, its file and what is rebuilt from it."""
    made = ef.World(megabytes=16, seed=3, lost=7)
    data = made.run(12000)
    return made, data, replay.replay(events.read(data))


def writer():
    out = ef.Writer()
    out.record(ef.MEMORY, 0, 64 << 20)
    return out


def timeline_of(out):
    out.time += 1000
    out.record(ef.END)
    return replay.replay(events.read(out.bytes()))


class Rebuilt(unittest.TestCase):
    def test_free_blocks_are_those_of_the_machine(self):
        made, _, line = world()
        found = [set() for _ in range(ef.TOP + 1)]
        for frame, row in line.frames.free.items():
            found[line.frames.frames[row].bit_length() - 1].add(frame)
        self.assertEqual(found, made.buddy.free)
        self.assertEqual(summary.free_blocks(line)[:ef.TOP + 1], [len(blocks) for blocks in made.buddy.free])

    def test_what_cpus_cache_is_their_stacks(self):
        made, _, line = world()
        cached = {frame + i for frame, row in line.frames.cached.items() for i in range(line.frames.frames[row])}
        self.assertEqual(cached, set(made.pages.stack))

    def test_slabs_and_objects_are_those_of_the_machine(self):
        made, _, line = world()
        slabs = {(frame, line.frames.cache[row]) for frame, row in line.frames.used.items() if line.frames.what[row] == SLAB}
        self.assertEqual(slabs, {(frame, cache.number) for cache in made.caches for frame in (*cache.room, *cache.slab)})
        live = {cache.number: sum(cache.capacity - len(room) for room in cache.room.values()) + cache.capacity * len(cache.slab)
                for cache in made.caches}
        found = {number: line.objects.caches[number].live for number in live}
        self.assertEqual(found, live)
        self.assertEqual(line.gaps, 0)

    def test_no_frame_is_in_two_blocks_at_once(self):
        _, _, line = world()
        f = line.frames
        for share in (0, 0.2, 0.5, 0.9, 1):
            t, seen = int(line.span * share), set()
            for row, (start, end) in enumerate(zip(f.start, f.end)):
                if start <= t < end:
                    here = set(range(f.frame[row], f.frame[row] + f.frames[row]))
                    self.assertFalse(seen & here, (t, row))
                    seen |= here
            self.assertGreater(len(seen), 2000)

    def test_the_direct_map_is_found(self):
        self.assertEqual(world()[2].direct_map, ef.DIRECT_MAP)

    def test_events_out_of_order_give_the_same(self):
        _, data, line = world()
        head, tail = data[:-32 * 4000], data[-32 * 4000:]
        records = [tail[i:i + 32] for i in range(0, len(tail), 32)]
        other = replay.replay(events.read(head + b"".join(records[1::2] + records[::2])))
        self.assertEqual(len(other.recording), len(line.recording))
        times = [record[0] for record in events.records(other.recording.events)]
        self.assertEqual(times, sorted(times))
        self.assertEqual({s: a.allocations for s, a in other.objects.sites.items()}, {s: a.allocations for s, a in line.objects.sites.items()})


class Blocks(unittest.TestCase):
    def test_blocks_do_not_merge_across_zones(self):
        for zones, free in ((1, {0: 2}), (2, {0: 1, 512: 1})):
            out = ef.Writer()
            for zone in range(zones):
                out.record(ef.MEMORY, zone * (4 << 20) // zones, (4 << 20) // zones, order=zone)
            out.record(ef.BUDDY_FREE, 0, order=9)
            out.record(ef.BUDDY_FREE, 2 << 20, order=9)
            line = timeline_of(out)
            self.assertEqual({frame: line.frames.frames[row] // 512 for frame, row in line.frames.free.items()}, free)

    def test_a_block_out_of_a_larger_one_leaves_its_buddies(self):
        out = writer()
        out.record(ef.ALREADY_FREE, 0, order=4)
        out.record(ef.BUDDY_ALLOC, 5 * ef.PAGE, order=0)
        line = timeline_of(out)
        self.assertEqual(sorted((frame, line.frames.frames[row]) for frame, row in line.frames.free.items()), [(0, 4), (4, 1), (6, 2), (8, 8)])
        self.assertEqual(list(line.frames.cached), [5])

    def test_pages_become_a_slab_and_go_back(self):
        out = writer()
        out.record(ef.ALREADY_FREE, 0, order=4)
        for kind in (ef.BUDDY_ALLOC, ef.PAGES_ALLOC, ef.SLAB_NEW, ef.SLAB_GONE, ef.PAGES_FREE, ef.BUDDY_FREE):
            out.time += 10
            out.record(kind, 8 * ef.PAGE, 2 * ef.PAGE, cache=3, order=1)
        line = timeline_of(out)
        f = line.frames
        lives = [(f.what[i], f.start[i], f.end[i]) for i in range(len(f.start)) if f.frame[i] == 8 and f.frames[i] == 2]
        self.assertEqual(lives, [(CACHED, 0, 10), (SLAB, 10, 30), (PAGES, 30, 40), (CACHED, 40, 50)])
        self.assertEqual([(f.what[row], f.frames[row]) for row in f.free.values()], [(FREE, 16)])

    def test_a_large_object_and_a_run_of_pages(self):
        out = writer()
        out.record(ef.ALREADY_FREE, 0, order=4)
        out.record(ef.ALREADY_SLAB, 16 * ef.PAGE, ef.PAGE, cache=1)
        out.record(ef.OBJECT_ALLOC, ef.DIRECT_MAP + 16 * ef.PAGE + 64, 64, 2, 1)
        out.record(ef.BUDDY_ALLOC, 0, order=3)
        out.record(ef.PAGES_ALLOC, 0, 5 * ef.PAGE, order=3)
        out.time += 5
        out.record(ef.LARGE_ALLOC, ef.DIRECT_MAP, 5 * ef.PAGE - 100, 4)
        line = timeline_of(out)
        self.assertEqual(line.direct_map, ef.DIRECT_MAP)
        row = line.frames.used[0]
        self.assertEqual((line.frames.what[row], line.frames.frames[row], line.frames.site[row]), (4, 5, 4))
        self.assertEqual(sum(line.frames.frames[row] for row in line.frames.cached.values()), 3)
        self.assertEqual(line.objects.sites[4].live_bytes, 5 * ef.PAGE - 100)

    def test_what_was_there_before_is_known_when_it_goes(self):
        out = writer()
        out.name(ef.NAME_CACHE, 1, "dentry", 192)
        out.record(ef.ALREADY_OBJECTS, 10, 1920, cache=1)
        out.record(ef.RECLAIM)
        out.time += 100
        out.record(ef.OBJECT_FREE, 0x5000, 192, 2, 1)
        out.record(ef.PAGES_FREE, 7 * ef.PAGE, ef.PAGE)
        line = timeline_of(out)
        self.assertEqual(summary.baseline(line), {1: (9, 1728)})
        self.assertEqual((line.objects.start[0], line.objects.size[0]), (0, 192))
        f = line.frames
        self.assertEqual([(f.frame[i], f.start[i], f.end[i]) for i in range(len(f.start)) if f.what[i] == PAGES], [(7, 0, line.objects.end[0])])
        self.assertEqual(line.gaps, 0)

    def test_a_block_in_use_whose_free_was_lost_ends_in_the_buddy(self):
        out = writer()
        out.record(ef.ALREADY_SLAB, 16 * ef.PAGE, ef.PAGE, cache=1)
        out.record(ef.OBJECT_ALLOC, ef.DIRECT_MAP + 16 * ef.PAGE, 64, 2, 1)
        out.record(ef.LARGE_ALLOC, ef.DIRECT_MAP + 4 * ef.PAGE, 2 * ef.PAGE + 1, 4)
        line = timeline_of(out)
        self.assertEqual(line.frames.frames[line.frames.used[4]], 3)
        out.parts.pop()
        out.record(ef.BUDDY_FREE, 4 * ef.PAGE, order=2)
        line = timeline_of(out)
        self.assertEqual((list(line.frames.used), list(line.frames.free)), ([16], [4]))

    def test_contradictions_are_counted_and_the_last_is_believed(self):
        out = writer()
        for _ in range(2):
            out.time += 1
            out.record(ef.OBJECT_ALLOC, 0x5000, 64, 2, 1)
            out.record(ef.PAGES_ALLOC, 9 * ef.PAGE, ef.PAGE)
        line = timeline_of(out)
        self.assertEqual(line.gaps, 2)
        self.assertEqual(line.objects.total.live, 1)
        self.assertEqual(len(line.frames.used), 1)


class Figures(unittest.TestCase):
    def test_the_leak_is_the_one_that_was_planted(self):
        line = replay.replay(events.read(ef.make(60000, 64, 5)))
        first, *others = summary.leaks(line)
        self.assertEqual((first["name"], first["verdict"]), ("log_append lib/log.c:77", summary.STEADY))
        self.assertEqual(first["objects"], line.objects.sites[first["site"]].allocations)
        self.assertEqual([row["name"] for row in others if row["verdict"] == summary.STEADY and row["name"].startswith(("skb", "name"))], [])

    def test_made_once_and_kept_is_no_growth(self):
        out = writer()
        for step in range(200):
            out.time += 10
            if step < 20:
                out.record(ef.OBJECT_ALLOC, 0x10000 + step * 64, 64, 2, 1)
            out.record(ef.OBJECT_ALLOC, 0x20000 + step * 64, 64, 3, 1)
            out.record(ef.OBJECT_ALLOC, 0x90000, 64, 4, 1)
            out.record(ef.OBJECT_FREE, 0x90000, 64, 4, 1)
        rows = {row["site"]: row for row in summary.leaks(timeline_of(out))}
        self.assertEqual({site: row["verdict"] for site, row in rows.items()}, {2: summary.STAYS, 3: summary.STEADY})
        self.assertEqual((rows[3]["objects"], rows[3]["rises"], rows[3]["falls"]), (200, 11, 0))  # nothing happens in the last third

    def test_the_unusable_index(self):
        blocks = [4, 2, 0, 1]  # 4 + 4 + 8 frames free
        self.assertEqual([summary.unusable(blocks, order) for order in range(5)], [0, 0.25, 0.5, 0.5, 1])
        self.assertEqual(summary.unusable([0] * 5, 2), 1)

    def test_summary_as_text_and_as_json(self):
        _, data, line = world()
        status, out, err = run("--summary", data=data)
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"lost +7\n")
        self.assertIn("log_append lib/log.c:77", out)
        status, out, _ = run("--json", data=data)
        figures = json.loads(out)
        self.assertEqual((status, figures["events"], figures["lost"]), (0, len(line.recording), {"1": 7}))
        self.assertEqual(figures["live_objects"], line.objects.total.live)


class Refused(unittest.TestCase):
    def refuses(self, data, words, status=65, *options):
        code, out, err = run("--summary", *options, data=data)
        self.assertEqual((code, out), (status, ""), err)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertIn(words, err)

    def test_what_is_no_event_file(self):
        self.refuses(b"", "empty")
        self.refuses(b"# trace 1\n" * 20, "not an event file")
        self.refuses(b"\xfd7zXZ\x00" + b"nothing", "")
        self.refuses(ef.Writer().bytes() + ef.RECORD.pack(0, 0, 0, 0, 0, ef.END, 0, 0, 0), "no events")

    def test_another_version(self):
        out = ef.Writer(header=False)
        out.record(ef.HEADER, ef.MAGIC, 2)
        self.refuses(out.bytes(), "version 2")

    def test_truncated(self):
        data = world()[1]
        self.refuses(data[:-5], "truncated: 27 bytes")
        self.refuses(data[:-32], "no end record")
        self.refuses(data[:96], "")
        status, out, _ = run("--summary", "--partial", data=data[:-45])
        self.assertEqual(status, 0)
        self.assertIn("cut off", out)

    def test_corrupted(self):
        data = bytearray(world()[1])
        at = len(data) // 64 * 32
        for offset, value, words in ((28, 200, "kind 200"), (28, 0, "kind 0")):
            broken = bytearray(data)
            broken[at + offset] = value
            self.refuses(bytes(broken), words)
        out = writer()
        out.record(ef.BUDDY_ALLOC, 0, order=77)
        self.refuses(out.bytes(), "order 77")
        out = writer()
        out.record(ef.NAME_SITE, size=1 << 40, site=2)
        self.refuses(out.bytes(), "a name of")

    def test_a_name_that_looks_like_records(self):
        out = writer()
        out.name(ef.NAME_SITE, 2, "\x02" * 28 + "\x02\x02\x02\x02" + "\x03" * 40)
        out.record(ef.OBJECT_ALLOC, 0x1000, 8, 2, 1)
        self.assertEqual(len(timeline_of(out).recording), 1)

    def test_random_bytes_never_end_in_a_traceback(self):
        rng, data = random.Random(9), world()[1][:32 * 600]
        for _ in range(300):
            broken = bytearray(data)
            for _ in range(rng.randrange(1, 6)):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            try:
                line = replay.replay(events.read(bytes(broken[:rng.randrange(len(broken))]), partial=True))
                summary.text(line)
            except events.BadFile:
                pass

    def test_wrong_usage(self):
        for arguments, status, words in (((), 64, "which event file"), (("--dance",), 64, "--dance"), (("/nowhere/x",), 66, "No such file"),
                                         (("--summary", "--json", "x"), 64, "not both")):
            code, _, err = run("--library", LIBRARY, *arguments) if status == 64 else run("--summary", *arguments)
            self.assertEqual(code, status, err)
            self.assertIn(words, err)
            self.assertEqual(len(err.splitlines()), 1, err)
        self.assertEqual(run("--help")[0], 0)


class Library(unittest.TestCase):
    def test_absent_is_said(self):
        with tempfile.TemporaryDirectory() as folder:
            code, _, err = run("--library", folder, data=world()[1])
            self.assertEqual(code, 69)
            self.assertIn("--fetch", err)
            code, _, err = run("--fetch", folder, PATH="/nowhere")
            self.assertEqual(code, 69)
            self.assertIn("npm", err)

    def test_another_archive_is_not_used(self):
        with tempfile.TemporaryDirectory() as folder:
            npm = os.path.join(folder, "npm")
            with open(npm, "w", encoding="utf-8") as f:
                f.write("#!/bin/sh\necho something else > uplot-1.6.32.tgz\n")
            os.chmod(npm, 0o755)
            code, _, err = run("--fetch", os.path.join(folder, "kept"), PATH=folder + ":" + os.environ["PATH"])
            self.assertEqual(code, 69)
            self.assertIn("checksum", err)
            self.assertEqual(os.listdir(os.path.join(folder, "kept")), [])
            with open(npm, "w", encoding="utf-8") as f:
                f.write("#!/bin/sh\necho no network here; exit 1\n")
            code, _, err = run("--fetch", os.path.join(folder, "kept"), PATH=folder + ":" + os.environ["PATH"])
            self.assertEqual((code, len(err.splitlines())), (69, 1))
            self.assertIn("no network here", err)


def hostile():
    """A file whose names try to leave their places in the page."""
    out = writer()
    out.name(ef.NAME_SITE, 2, "</script><script>document.title='broken'</script> a.c:1")
    out.name(ef.NAME_SITE, 3, "%%DATA%% <b>bold</b> <!-- a.c:2")
    out.name(ef.NAME_CACHE, 1, "<img src=x onerror=alert(1)>", 64)
    out.record(ef.ALREADY_FREE, 0, order=4)
    out.record(ef.BUDDY_ALLOC, 0, order=0)
    out.record(ef.PAGES_ALLOC, 0, ef.PAGE)
    out.record(ef.SLAB_NEW, 0, ef.PAGE, cache=1)
    for i in range(2):
        out.time += 100
        out.record(ef.OBJECT_ALLOC, ef.DIRECT_MAP + i * 64, 64, 2 + i, 1)
    out.record(ef.OUT_OF_MEMORY, size=ef.PAGE, order=3)
    out.time += 100
    out.record(ef.END)
    return out.bytes()


def pages_alone():
    """A recording of pages, without an end, names, or the length of a tick."""
    out = ef.Writer(ticks=0)
    out.record(ef.ALREADY_FREE, 0, order=4)
    for kind in (ef.BUDDY_ALLOC, ef.PAGES_ALLOC):
        out.time += 10
        out.record(kind, 0, ef.PAGE)
    return out.bytes()


@functools.cache
def why_not():
    """Why the page cannot be tested here, or nothing."""
    if not browser.find():
        return "Chromium is not installed: tools/deps --for browser"
    code, _, err = run("--fetch", LIBRARY)
    return err.strip() if code else ""


class Page(unittest.TestCase):
    """One browser, in which each test opens the page anew."""

    @classmethod
    def setUpClass(cls):
        if why_not():
            raise unittest.SkipTest(why_not())
        cls.folder = tempfile.TemporaryDirectory(prefix="strata-test-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.pages = {}
        for name, data, *options in (("main", world()[1]), ("hostile", hostile()), ("pages", pages_alone(), "--partial")):
            path = os.path.join(cls.folder.name, name + ".html")
            code, _, err = run("--library", LIBRARY, "--out", path, "--name", name + " & <i>", *options, data=data)
            assert code == 0, err
            cls.pages[name] = path
        cls.web = browser.Browser()
        cls.addClassCleanup(cls.web.close)

    def setUp(self):
        self.open("main")
        self.addCleanup(lambda: self.assertEqual(self.web.errors, []))

    def open(self, name):
        self.web.size(1280, 800)
        self.web.open(self.pages[name])
        self.web.wait("document.documentElement.dataset.ready")

    def text(self, selector):
        return self.web.run("document.querySelector(%s).textContent" % json.dumps(selector))

    def column(self, table, name):
        return self.web.run("(() => { const t = document.querySelector('#%s table'), i = [...t.tHead.rows[0].cells].findIndex(c => "
                            "c.firstChild.dataset.name === %s); return [...t.tBodies[0].rows].map(r => r.cells[i]?.textContent); })()" % (table, json.dumps(name)))

    def test_its_figures_are_those_of_the_summary(self):
        figures = summary.figures(world()[2])
        self.web.run("goTo(meta.span)")
        self.web.settle()
        self.assertIn("{:,}".format(figures["events"]), self.text("#tiles"))
        self.assertIn("7 events were lost (CPU 1: 7)", self.text("#notes"))
        free = self.web.run("totalsAt(meta.span, 0, memoryFrames).slice(FREE_CODE).reduce((a, b) => a + b)")
        self.assertEqual(free, figures["free_bytes"])
        last = "SAMPLES - 1"
        self.assertEqual(self.web.run("series.freeBlocks.map(lane => lane[%s])" % last), figures["free_blocks"])
        self.assertEqual(self.web.run("series.live.reduce((sum, lane) => sum + lane[%s], 0)" % last),
                         figures["live_bytes"] + sum(size for _, size in summary.baseline(world()[2]).values()))
        index = self.web.run("series.unusable.map(lane => lane[%s])" % last)
        for order, value in enumerate(figures["unusable"]):
            self.assertAlmostEqual(index[order], value, 3)
        self.assertEqual(self.column("sites", "Live now"), self.column("sites", "Live at the end"))
        sites = [row["name"] for row in figures["leaks"]]
        self.assertEqual(self.column("leaks", "Call site"), sites)

    def test_every_frame_is_what_was_rebuilt(self):
        line = world()[2]
        f, first = line.frames, line.zones[0].first
        for share in (0, 0.3, 0.5, 1):
            t = int(line.span * share)
            wanted = [0] * (16 * 256)
            for row, (start, end) in enumerate(zip(f.start, f.end)):
                if start <= t < end:
                    code = f.what[row] if f.what[row] != FREE else 5 + f.frames[row].bit_length() - 1
                    here = f.frame[row] - first
                    wanted[here:here + f.frames[row]] = [code] * f.frames[row]
            self.assertEqual(self.web.run("[...mapAt(%d, 0, memoryFrames, memoryFrames).codes]" % t), wanted)
            middle = "heatCodes(%d - 2, %d + 2, 0, memoryFrames, 2, memoryFrames)" % (t + 1, t + 1)
            self.assertEqual(self.web.run("[...%s].filter((_, i) => i %% 2 === 0)" % middle), wanted)

    def test_the_slider_moves_time_by_keys_and_mouse(self):
        before = self.text("#now"), self.text("#legend"), self.column("sites", "Objects now")
        self.web.focus("#slider")
        self.web.key("PageDown", 10)
        middle = self.web.run("view.t / meta.span")
        self.assertAlmostEqual(middle, 0.5, 1)
        after = self.text("#now"), self.text("#legend"), self.column("sites", "Objects now")
        for old, new in zip(before, after):
            self.assertNotEqual(old, new)
        self.assertEqual(self.text("#map-time"), self.text("#now"))
        self.web.key("ArrowLeft")
        self.assertLess(self.web.run("view.t / meta.span"), middle)
        self.web.click("#slider", 0.25)
        self.assertAlmostEqual(self.web.run("view.t / meta.span"), 0.25, 1)
        share = self.web.run("parseFloat(document.querySelector('#chart-live .marker').style.left) / document.querySelector('#chart-live .u-over').clientWidth")
        self.assertAlmostEqual(share, 0.25, 1)

    def test_playing_moves_time_and_stops(self):
        self.web.run("goTo(0)")
        self.web.settle()
        self.web.focus("#slider")
        self.web.key(" ")
        self.web.wait("view.t > 0")
        self.assertEqual(self.web.run("document.querySelector('#play').getAttribute('aria-label')"), "Pause")
        self.web.key(" ")
        stopped = self.web.run("view.t")
        self.web.settle()
        self.assertEqual(self.web.run("view.t"), stopped)

    def test_zoom_and_pan(self):
        span = self.web.run("meta.span")
        self.web.drag("#chart-live .u-over", 0.25, 0.5)
        low, high = self.web.run("[view.from / meta.span, view.to / meta.span]")
        self.assertAlmostEqual(low, 0.25, 1)
        self.assertAlmostEqual(high, 0.5, 1)
        self.assertEqual(self.web.run("charts.filter(c => c.plot).map(c => c.plot.scales.x.min === view.from)"),
                         [True] * self.web.run("charts.filter(c => c.plot).length"))
        self.web.run("document.activeElement.blur()")
        self.web.key("]")
        self.assertGreater(self.web.run("view.from / meta.span"), low)
        self.web.key("0")
        self.assertEqual(self.web.run("[view.from, view.to]"), [0, span])
        self.web.wheel("#chart-free .u-over", -100)
        self.assertLess(self.web.run("view.to - view.from"), span)
        self.web.click("#zoom-all")
        self.web.drag("#heat", 0.6, 0.8)
        self.assertAlmostEqual(self.web.run("view.from / meta.span"), 0.6, 1)
        self.web.click("#heat", 0.5, 0.5)
        self.assertAlmostEqual(self.web.run("view.t / meta.span"), 0.7, 1)
        self.web.click("#zoom-out")
        self.web.click("#earlier")
        self.web.click("#zoom-all")
        self.web.click("#chart-rate .u-over", 0.75)
        self.assertAlmostEqual(self.web.run("view.t / meta.span"), 0.75, 1)

    def test_pointing_names_the_block_and_who_asked_for_it(self):
        self.web.run("showMemory(...busyMemory()); goTo(meta.span)")
        self.web.settle()
        self.web.run("showMemory(view.low, view.low + 512)")
        self.web.settle()
        cell = self.web.run("(() => { for (let c = 0; c < map.shown; c++) if (describe(view.t, ...cellRange(c)).join().includes('objects that were seen')) return c; })()")
        x, y = self.web.run("(() => { const [x, y] = cellPlace(%d); return [(x + 6) / map.canvas.clientWidth, (y + 6) / map.canvas.clientHeight]; })()" % cell)
        self.web.hover("#map", x, y)
        words = self.text("#hover")
        self.assertRegex(words, r"slab of [\w-]+ at 0x[0-9a-f]+, 4.0 KiB since")
        self.assertRegex(words, r"\d+ of \w+ \w+/\w+.c:\d+")
        self.web.hover("h1")
        self.assertTrue(self.web.run("document.querySelector('#hover').hidden"))
        self.web.hover("#heat", 0.9, 0.9)
        self.assertRegex(self.text("#hover"), r"^at [\d.]+ .*0x")
        self.web.hover("h1")
        self.assertTrue(self.web.run("document.querySelector('#hover').hidden"))

    def test_the_map_by_keys(self):
        self.web.focus("#map")
        self.web.key("ArrowRight", 2)
        first = self.text("#map-words")
        self.assertRegex(first, r"^0x[0-9a-f]+ – 0x")
        self.web.key("ArrowDown")
        self.assertNotEqual(self.text("#map-words"), first)
        self.web.key("+")
        self.assertLess(self.web.run("view.high - view.low"), self.web.run("memoryFrames"))
        self.web.key("Enter")
        self.web.key("0")
        self.assertEqual(self.web.run("view.high - view.low"), self.web.run("memoryFrames"))
        self.web.click("#map-busy")
        self.assertIn("a cell is", self.text("#map-range"))

    def test_tables_sort_filter_and_choose(self):
        key = "#sites th button[data-name='%s']"
        self.web.click(key % "Allocations")
        counts = [int(text.replace(",", "")) for text in self.column("sites", "Allocations")]
        self.assertEqual(counts, sorted(counts, reverse=True))
        self.web.focus(key % "Allocations")
        self.web.key("Enter")
        counts = [int(text.replace(",", "")) for text in self.column("sites", "Allocations")]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(self.web.run("document.querySelector(%s).parentElement.getAttribute('aria-sort')" % json.dumps(key % "Allocations")), "ascending")
        self.web.click(key % "Call site")
        names = self.column("sites", "Call site")
        self.assertEqual(names, sorted(names))
        self.web.click("#sites-filter")
        for letter in "skb":
            self.web.key(letter)
        self.assertEqual(self.column("sites", "Call site"), ["skb_alloc net/skb.c:52"])
        self.web.click("#sites tbody tr")
        self.assertIn("skb_alloc", self.text("#chart-site"))
        self.web.focus("#leaks tbody tr:nth-child(2)")
        self.web.key("Enter")
        self.assertIn(self.column("leaks", "Call site")[1], self.text("#chart-site"))
        self.assertEqual(self.web.run("document.querySelectorAll('#leaks tr[aria-selected=true]').length"), 1)

    def test_a_leaked_object_is_found_on_the_map(self):
        line = world()[2]
        first = summary.leaks(line)[0]
        alive = [row for row, site in enumerate(line.objects.site) if site == first["site"] and line.objects.end[row] == OPEN]
        if first["what"] == "objects":
            self.assertEqual(self.column("objects", "Address")[0], "%#x" % line.objects.address[alive[0]])
        log = next(i for i, row in enumerate(summary.leaks(line)) if row["name"].startswith("log_append"))
        self.web.click("#leaks tbody tr:nth-child(%d)" % (log + 1))
        oldest = next(row for row, site in enumerate(line.objects.site) if site == summary.leaks(line)[log]["site"])
        self.assertEqual(self.column("objects", "Address")[0], "%#x" % line.objects.address[oldest])
        self.assertEqual(self.column("objects", "Freed at")[0], "never")
        self.web.focus("#objects tbody tr")
        self.web.key("Enter")
        self.assertEqual(self.web.run("document.activeElement.id"), "map")
        first, end = self.web.run("cellRange(map.selected).map(frameAt)")
        frame = (line.objects.address[oldest] - ef.DIRECT_MAP) // ef.PAGE
        self.assertTrue(first <= frame < end, (first, frame, end))
        self.assertIn("log_append", self.text("#map-words"))

    def test_themes_and_keys(self):
        before = self.web.run("getComputedStyle(document.body).backgroundColor")
        self.web.click("#theme")
        self.assertNotEqual(self.web.run("getComputedStyle(document.body).backgroundColor"), before)
        self.web.click("#keys-button")
        self.assertFalse(self.web.run("document.querySelector('#keys').hidden"))
        self.web.click("#keys-button")
        self.assertTrue(self.web.run("document.querySelector('#keys').hidden"))

    def test_a_recording_of_pages_alone(self):
        self.open("pages")
        self.assertIn("no events of objects", self.text("#notes"))
        self.assertIn("no end record", self.text("#notes"))
        self.assertTrue(self.web.run("document.querySelector('#chart-slabs').hidden"))
        self.assertEqual(self.column("leaks", "Call site"), ["none"])

    def test_curves_hide_by_keys(self):
        entry = "#chart-live .u-legend .u-series:nth-child(2) th"
        self.web.focus(entry)
        self.web.key("Enter")
        self.assertFalse(self.web.run("charts[0].plot.series[1].show"))
        self.assertEqual(self.web.run("document.querySelector(%s).getAttribute('aria-pressed')" % json.dumps(entry)), "false")
        self.web.key("Enter")
        self.assertTrue(self.web.run("charts[0].plot.series[1].show"))

    def test_every_control_has_a_name_and_can_be_reached(self):
        nodes = self.web.call("Accessibility.getFullAXTree")["nodes"]
        controls = [n for n in nodes if n.get("role", {}).get("value") in ("button", "slider", "searchbox", "table", "image", "region")]
        self.assertGreater(len(controls), 40)
        self.assertEqual([n["role"]["value"] for n in controls if not n.get("name", {}).get("value") and n["role"]["value"] != "table"], [])
        self.web.run("document.activeElement.blur(); scrollTo(0, 0)")
        reached = set()
        for _ in range(20):
            self.web.key("Tab")
            reached.add(self.web.run("document.activeElement.id"))
        self.assertLessEqual({"keys-button", "theme", "play", "slider", "earlier", "zoom-all", "map-in", "map-all", "map", "heat"}, reached)

    def test_contrast_in_both_themes(self):
        for theme in ("light", "dark"):
            self.web.run("setTheme('%s')" % theme)
            worst = self.web.run("""(() => {
                const lum = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
                const ratio = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
                const wide = c => c.length === 4 ? '#' + [...c.slice(1)].map(x => x + x).join('') : c, of = name => rgb(wide(style(name)));
                const inks = Array.from({length: CODES}, (_, code) => ratio(colourOf(code), inkOn(colourOf(code)) === '#000' ? [0, 0, 0] : [255, 255, 255]));
                return Math.min(...inks, ratio(of('--text'), of('--page')), ratio(of('--soft'), of('--panel')), ratio(of('--soft'), of('--page')), ratio(of('--text'), of('--button'))); })()""")
            self.assertGreaterEqual(worst, 4.5, theme)

    def test_nothing_overlaps_or_sticks_out(self):
        for width, height in ((1280, 800), (1920, 1080)):
            self.web.size(width, height)
            self.web.open(self.pages["main"])
            self.web.wait("document.documentElement.dataset.ready")
            self.assertLessEqual(self.web.run("document.documentElement.scrollWidth"), width)
            wrong = self.web.run("""(() => {
                const boxes = [...document.querySelectorAll('.panel, .tile, #timebar, header')].filter(e => e.offsetParent || e.id === 'timebar').map(e => [e, e.getBoundingClientRect()]);
                const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
                const found = [];
                for (const [e, a] of boxes) for (const [f, b] of boxes) if (e !== f && meet(a, b) && !e.contains(f) && !f.contains(e)) found.push(e.id + e.className + ' meets ' + f.id + f.className);
                for (const e of document.querySelectorAll('h1, h2, button, .tile b, .tile span, #now, #window, #legend td'))
                    if (e.offsetParent && e.scrollWidth > e.clientWidth + 1 && e.clientWidth) found.push('cut: ' + e.textContent);
                for (const e of document.querySelectorAll('#legend td, #legend li, .u-legend td, .tile *, #timebar *, .heading > *'))
                    if (e.offsetParent && e.getBoundingClientRect().right > e.closest('.panel, .tile, #timebar').getBoundingClientRect().right - 4) found.push('sticks out: ' + e.textContent);
                return found; })()""")
            self.assertEqual(wrong, [])

    def test_names_from_the_file_stay_text(self):
        self.open("hostile")
        self.assertEqual(self.web.run("document.title"), "Memory timeline")
        self.assertEqual(self.text("#source"), "hostile & <i>")
        self.assertEqual(self.web.run("document.querySelectorAll('img, i, td b').length"), 0)
        self.assertIn("</script><script>document.title='broken'</script> a.c:1", self.column("sites", "Call site"))
        self.assertIn("no memory", self.text("#heat-failures"))
        self.web.focus("#map")
        self.web.key("ArrowRight")
        self.assertIn("<img src=x onerror=alert(1)>", self.text("#map-words"))

    def test_the_page_is_whole(self):
        with open(self.pages["main"], encoding="utf-8") as f:
            page = f.read()
        self.assertIn("The MIT License", page)
        self.assertIn("Content-Security-Policy", page)
        self.assertNotRegex(page, r"(?:src|href)=\"(?!data:)")


if __name__ == "__main__":
    unittest.main()
