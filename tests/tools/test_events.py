"""Events from the outside: a replay on this machine and one in the kernel leave files that tools/events finds whole;
the monitor's `trace`; and what the tools say of files that are none."""

import json
import lzma
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest

from test_monitor import BUILD, KERNEL, QEMU, ROOT, Machine

TOOL = os.path.join(ROOT, "tools", "events")
RUNNER = os.path.join(ROOT, "tools", "run-qemu")
HOST = os.path.join(BUILD, "host", "events")
TRACE = os.path.join(ROOT, "tests", "data", "traces", "u-gs.trace.xz")  # 11786 operations
RECORD = struct.Struct("<QQQHHBBBB")
MAGIC = 0x5645415441525453
HEADER, END, LOST, PAGES_ALLOC, OBJECT_ALLOC, OBJECT_FREE = 1, 9, 5, 16, 32, 33


def run(*command, text=None):
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=200)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def events(*arguments):
    return run(sys.executable, TOOL, *arguments)


def record(kind, time=0, address=0, size=0, site=0, cache=0xFFFF, cpu=0, order=0, node=0):
    return RECORD.pack(time, address, size, site, cache, kind, cpu, order, node)


HEAD = record(HEADER, time=1000, address=MAGIC, size=1)


class Scratch(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="strata-test-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name="events.bin", data=None):
        path = os.path.join(self.folder.name, name)
        if data is not None:
            with open(path, "wb") as f:
                f.write(data)
        return path


class Files(Scratch):
    def refused(self, data, why):
        code, out, err = events(self.path(data=data))
        self.assertEqual((code, out), (1, ""))
        self.assertIn(why, err)
        self.assertEqual(err.count("\n"), 1)

    def test_what_is_no_file_of_events(self):
        self.refused(b"", "empty")
        self.refused(b"short", "shorter than one record")
        self.refused(record(END), "does not begin with the header")
        self.refused(record(HEADER, address=MAGIC, size=2), "version 2")

    def test_wrong_usage(self):
        good = self.path(data=HEAD + record(END))
        for arguments in ([], [good, "--kind", "nothing"], [good, "--last", "0"], [good, "--no"], [good + "x"],
                          [good, "--json", "--stat"]):
            code, out, err = events(*arguments)
            self.assertEqual((code, out), (64, ""), arguments)
            self.assertTrue(err, arguments)
        self.assertEqual(events("--help")[0], 0)

    def check(self, *records, end=True):
        return events(self.path(data=HEAD + b"".join(records) + (record(END, time=99) if end else b"")), "--check")

    def test_contradictions_are_found(self):
        alloc, free = record(OBJECT_ALLOC, 1, 0x1000, 8, cache=0), record(OBJECT_FREE, 2, 0x1000, 8, cache=0)
        self.assertEqual(self.check(alloc, free)[0], 0)
        self.assertEqual(self.check(free, alloc)[0], 0)  # by time, whatever the file's order
        self.assertEqual(self.check(record(OBJECT_FREE, 2, 0x1000, 8, cache=0))[0], 0)  # from before
        for records, why in (
                ((alloc, record(OBJECT_ALLOC, 2, 0x1000, 8, cache=0)), "allocated twice"),
                ((alloc, record(OBJECT_FREE, 2, 0x1000, 8, cache=1)), "was allocated from cache 0"),
                ((record(PAGES_ALLOC, 1, 0x1000, 4096), record(17, 2, 0x1000, 8192)), "with 4096 bytes"),
                ((record(4, 0, 0, 1 << 20), record(22, 1, 0x2000, 4096)), "was not free"),
                ((record(4, 0, 0, 1 << 20), record(6, 0, 0x4000, 8192, order=1), record(23, 1, 0x5000, 4096)),
                 "was free already"),
                ((record(62, 1),), "no such kind")):
            code, out, _ = self.check(*records)
            self.assertEqual(code, 1, why)
            self.assertIn(why, out)
        self.assertEqual(self.check(alloc, end=False)[0], 1)

    def test_free_blocks_split_and_merge(self):
        memory = record(4, 0, 0, 1 << 30)
        code, out, _ = self.check(
            memory, record(6, 0, 0x10000, 65536, order=4),
            record(22, 1, 0x13000, 4096), record(22, 2, 0x10000, 8192, order=1),
            record(23, 3, 0x13000, 4096), record(23, 4, 0x10000, 8192, order=1), record(22, 5, 0x10000, 65536, order=4))
        self.assertEqual(code, 0, out)
        self.assertIn("free: 0 pages", out)

    def test_losses_are_told_and_make_a_check_impossible(self):
        twice = record(OBJECT_ALLOC, 1, 0x1000, 8, cache=0) * 2
        code, out, _ = self.check(record(LOST, 1, size=7), twice)
        self.assertEqual(code, 0)
        self.assertIn("7 events were lost", out)

    def test_names_and_words(self):
        data = HEAD + record(2, site=5, size=40) + b"a_function_with_a_name mm/some_file.c:10".ljust(64, b"\0")
        data += record(3, cache=2, size=8, address=64) + b"kmalloc8".ljust(32, b"\0")
        data += record(OBJECT_ALLOC, 500, 0xABC0, 60, site=5, cache=2) + record(18, 600, 0x4000, 2, order=5) + record(END, 700)
        path = self.path(data=data)
        out = events(path)[1].splitlines()
        self.assertRegex(out[0], r"^ +0\.000000 s cpu 0 object-alloc +0xabc0 60 bytes of kmalloc8 by "
                                 r"a_function_with_a_name mm/some_file\.c:10$")
        self.assertRegex(out[1], r"^ +0\.100000 s cpu 0 split +0x4000 order 5 to 2$")
        first = json.loads(events(path, "--json")[1].splitlines()[0])
        self.assertEqual((first["kind"], first["cache"], first["size"]), ("object-alloc", "kmalloc8", 60))
        for chosen, n in ((["--kind", "split"], 1), (["--kind", "*-alloc,split"], 2), (["--cache", "kmalloc*"], 1),
                          (["--site", "*some_file*"], 1), (["--cpu", "1"], 0), (["--address", "0xabc8"], 1), (["--last", "2"], 2),
                          (["--first", "1"], 1)):
            self.assertEqual(len(events(path, *chosen)[1].splitlines()), n, chosen)

    def test_sums_of_pages_stand_apart(self):
        name = record(2, site=5, size=8) + b"ask+0x2a".ljust(32, b"\0")
        path = self.path(data=HEAD + name + record(PAGES_ALLOC, 1, 0x1000, 4096, site=5) + record(PAGES_ALLOC, 2, 0x2000, 8192, site=5)
                         + record(OBJECT_ALLOC, 3, 0x1000, 8, site=6) + record(17, 4, 0x1000, 4096) + record(17, 5, 0x8000, 4096)
                         + record(END, 9))
        objects, pages = events(path, "--stat")[1].split("who asked for pages")
        self.assertRegex(pages, r"\nask\+0x2a +2 +1 +1 +8192\n")
        self.assertRegex(objects, r"\nsite 6 +1 +0 +1 +8\n")
        self.assertEqual(len(pages.strip().splitlines()), 2)


class Host(Scratch):
    """The program that replays on this machine."""

    def test_a_replay_is_whole(self):
        with lzma.open(TRACE) as f:
            trace = self.path("trace", f.read())
        path = self.path()
        code, out, err = run(HOST, "--mem", "256M", trace, path)
        self.assertEqual((code, err), (0, ""))
        code, said, _ = events(path, "--check")
        self.assertEqual(code, 0, said)
        self.assertIn("live, of those seen: 0 objects, 0 large, 0 areas, 0 pages", said)
        stat = events(path, "--stat")[1]
        self.assertEqual(re.match(r"\d+", out)[0], re.match(r"\d+", stat)[0])
        self.assertIn("op_kmalloc kernel/replay_ops.c:", stat)
        self.assertRegex(stat, r"\d events in 0?\.?\d+\.\d+ s, 0 lost\n")

    def test_only_some_groups(self):
        with lzma.open(TRACE) as f:
            text = f.read()
        path = self.path()
        self.assertEqual(run(HOST, "--groups", "pages,slabs", "-", path, text=text)[0], 0)
        kinds = {json.loads(line)["kind"] for line in events(path, "--json")[1].splitlines()}
        self.assertEqual({k for k in kinds if not k.startswith(("memory", "already", "end"))},
                         {"pages-alloc", "pages-free", "pages-refill", "pages-drain", "slab-new", "slab-gone",
                          "magazine-refill", "magazine-drain"} & kinds)
        self.assertIn("pages-refill", kinds)

    def test_wrong_usage(self):
        for arguments in ([], ["a"], ["a", "b", "c"], ["--mem", "1K", "a", "b"], ["--groups", "x", "a", "b"], ["--what"],
                          ["--repeat", "0", "a", "b"]):
            code, out, err = run(HOST, *arguments)
            self.assertEqual((code, out, err.count("\n")), (64, "", 1), arguments)
        self.assertEqual(run(HOST, "--help")[0], 0)
        self.assertEqual(run(HOST, self.path("none"), self.path())[0], 1)
        code, _, err = run(HOST, "-", self.path(), text=b"no trace")
        self.assertEqual(code, 1)
        self.assertIn("first line must be", err)


class Kernel(Scratch):
    def run_kernel(self, append, *arguments):
        return run(sys.executable, RUNNER, "--qemu", QEMU, "--kernel", KERNEL, "--mem", "64M", "--smp", "2",
                   "--expect", "exit", "--append", "quiet " + append, *arguments)

    def test_from_the_boot_on_by_either_port(self):
        for port in ("debugcon", "serial"):
            path = self.path(port)
            code, out, _ = self.run_kernel("trace=buddy,pages,slabs,vmalloc demo_for=1",
                                           "--events", path, "--events-port", port)
            self.assertEqual(code, 0, out)
            self.assertRegex(out, r"trace: \d+ events, 0 lost, \d+ bytes to " + port)
            code, said, _ = events(path, "--check")
            self.assertEqual(code, 0, said)
            stat = events(path, "--stat")[1]
            self.assertRegex(stat, r"magazine-refill +\d+")
            self.assertRegex(stat.split("who asked for pages")[1], r"\nslab_grow\+0x[0-9a-f]+ +\d+")

    def test_without_a_port_it_says_so(self):
        code, out, _ = run(sys.executable, RUNNER, "--qemu", QEMU, "--kernel", KERNEL, "--mem", "64M", "--expect", "exit",
                           "--append", "trace test=list.*")
        self.assertEqual(code, 0, out)
        self.assertIn("no port for events is used: the newest stay in memory", out)

    def test_the_monitor(self):
        path = self.path()
        m = Machine("-chardev", "file,id=events,path=" + path, "-device", "isa-debugcon,iobase=0xe9,chardev=events")
        self.addCleanup(m.close)
        m.wait_for_prompt()
        self.assertIn("trace: off", m.ask("trace"))
        self.assertIn("trace: it is off", m.ask("trace off"))
        self.assertIn("pagess is no group", m.ask("trace on pagess"))
        self.assertIn("no second serial port", m.ask("trace on serial"))
        self.assertIn("on: pages,objects, to debugcon", m.ask("trace on objects,pages"))
        self.assertIn("it is on already", m.ask("trace on"))
        m.ask("alloc bytes 1234")
        dump = m.ask("trace dump 200")
        self.assertRegex(dump, r"cpu 0 object-alloc 0x[0-9a-f]+ 1234 bytes of kmalloc-1280 by kernel/monitor_alloc\.c:\d+ \(")
        self.assertIn("1 to 256", m.ask("trace dump 0"))
        last = [json.loads(line) for line in m.ask("trace dump 200 -j").splitlines()]
        mine = next(e for e in last if e["event"] == "object-alloc" and e["size"] == 1234)
        self.assertEqual((mine["cpu"], mine["cache"]), (0, "kmalloc-1280"))
        self.assertIn("kernel/monitor_alloc.c:", mine["site"])
        self.assertTrue(any(e["event"] == "pages-alloc" and "+0x" in e["site"] for e in last), last)
        self.assertEqual(set(mine), set(next(iter(last))))
        self.assertIn("1 to 256", m.ask("trace dump 0 -j"))
        self.assertIn("-j goes with status and dump", m.ask("trace on -j"))
        state = json.loads(m.ask("trace status -j"))
        self.assertEqual((state["state"], state["groups"], state["port"], state["lost"]), ("on", "pages,objects", "debugcon", 0))
        self.assertGreaterEqual(state["recorded"], len(last))
        self.assertRegex(m.ask("trace status"), r"\d+ events recorded, 0 lost")
        self.assertIn("trace: off; was on: pages,objects", m.ask("trace off"))
        self.assertIn("1234 bytes", events(path, "--kind", "object-alloc")[1])
        self.assertEqual(events(path, "--check")[0], 0)

    def test_the_runner_refuses_what_cannot_be(self):
        for arguments, why in ((["--events", "/nowhere/x"], "no such folder"), (["--events", self.folder.name], "not a regular file"),
                               (["--events", self.path("a,b")], "commas")):
            code, _, err = self.run_kernel("", *arguments)
            self.assertEqual(code, 64)
            self.assertIn(why, err)


if __name__ == "__main__":
    unittest.main()
