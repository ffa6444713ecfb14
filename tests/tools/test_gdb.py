"""gdb's commands for the memory manager (tools/gdb/memory.py), on a machine that runs and on a dump of its memory: what
they say must be what the kernel says of itself in the monitor."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from test_monitor import BUILD, ROOT, Machine, check_needs

ELF = os.path.join(BUILD, os.environ.get("CONFIG", "debug"), "strata.elf")
COMMANDS = os.path.join(ROOT, "tools", "gdb", "memory.py")


def gdb(*commands, core=None):
    arguments = ["gdb", "-q", "-batch", "-nx", "-ex", "set architecture i386:x86-64", "-ex", "file " + ELF, "-ex", "source " + COMMANDS]
    arguments += ["-ex", "core-file " + core] if core else []
    for command in commands:
        arguments += ["-ex", command]
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=120)
    return done.stdout.decode("utf-8", "replace")


def rows(text, columns):
    """{first word: numbers behind it} of the lines that have so many words."""
    found = [line.split() for line in text.splitlines()]
    return {words[0]: words[1:] for words in found if len(words) == columns}


class GdbTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        check_needs()
        if not shutil.which("gdb"):
            raise AssertionError("gdb is missing: tools/deps --for debug installs it")
        cls.scratch = tempfile.mkdtemp()
        cls.socket, cls.core = os.path.join(cls.scratch, "gdb"), os.path.join(cls.scratch, "core")
        monitor = os.path.join(cls.scratch, "monitor")
        cls.machine = Machine("-chardev", "socket,id=gdb,server=on,wait=off,path=" + cls.socket, "-gdb", "chardev:gdb",
                              "-monitor", "unix:%s,server=on,wait=off" % monitor)
        cls.machine.wait_for_prompt()
        cls.machine.ask("alloc bytes 100")
        cls.machine.ask("alloc bytes 50000")
        cls.machine.ask("alloc pages 3")
        cls.caches = [json.loads(line) for line in cls.machine.ask("slabinfo -j").splitlines() if line.startswith("{")]
        cls.zones = [json.loads(line) for line in cls.machine.ask("buddyinfo -j").splitlines() if line.startswith("{")]
        cls.held = re.findall(r"0x[0-9a-f]{16}", cls.machine.ask("alloc"))
        cls.connect = "target remote " + cls.socket
        cls.dump(monitor)

    @classmethod
    def dump(cls, path):
        import socket
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(b"dump-guest-memory -p %s\n" % cls.core.encode())
            end, seen = time.monotonic() + 60, b""
            while seen.count(b"(qemu)") < 2 and time.monotonic() < end:
                seen += s.recv(4096)

    @classmethod
    def tearDownClass(cls):
        cls.machine.close()
        shutil.rmtree(cls.scratch)

    def everywhere(self, *commands):
        """The output of the running machine, which must be that of the dump but for what ran in between."""
        yield gdb(self.connect, *commands)
        yield gdb(*commands, core=self.core)

    def test_buddy_is_what_the_monitor_says(self):
        for text in self.everywhere("buddy"):
            found = rows(text, 3 + len(self.zones))
            for order in range(19):
                self.assertEqual([int(n) for n in found[str(order)][2:]], [zone["free_blocks"][order] for zone in self.zones], text)

    def test_slabs_are_what_the_monitor_says(self):
        for text in self.everywhere("slabs"):
            found = rows(text, 5)
            for cache in self.caches:
                size, live, cached, count = [int(n) for n in found[cache["cache"]]]
                self.assertEqual((size, live, cached, count), (cache["size"], cache["live"], cache["cached"], cache["slabs"]), cache)

    def test_an_address_is_explained(self):
        small, large, pages = self.held[:3]
        for text in self.everywhere("kmalloc-info %s" % small, "kmalloc-info %s+7" % small, "kmalloc-info %s+49999" % large,
                                    "kmalloc-info %s+4096" % pages, "kmalloc-info 0xffff800000000000"):
            self.assertRegex(text, r"byte 0 of object \d+ at %s \(size 112\) of kmalloc-112: live, by kernel/monitor_alloc.c:" % small)
            self.assertIn("byte 7 of object", text)
            self.assertIn("byte 49999 of a kmalloc of 50000 bytes at %s" % large, text)
            self.assertIn("byte 4096 of a block of 8 pages at %s: allocated" % pages, text)
            self.assertIn("not the page allocator's", text)

    def test_pages_sites_and_bits(self):
        for text in self.everywhere("pages", "pages large", "sites", "slabs kmalloc-112"):
            found = rows(text, 5)
            self.assertEqual(found["large"][:2], ["1", "13"], text)
            self.assertIn("%s  13 pages" % self.held[1], text)
            self.assertRegex(text, r"2 +50112  kernel/monitor_alloc.c:\d+ \(")
            self.assertRegex(text, r"0x[0-9a-f]+  [.c]*#[.c]*\n")

    def test_leaks_finds_nothing_in_a_sound_machine(self):
        for text in self.everywhere("leaks"):
            self.assertRegex(text, r"\d+ live objects: 0 unreferenced")

    def test_leaks_finds_what_is_forgotten(self):
        holder = "'monitor_alloc.c'::table[0].memory"
        text = gdb(self.connect, "set $kept = %s" % holder, "set var %s = 0" % holder, "leaks", "set var %s = $kept" % holder)
        self.assertRegex(text, r"live objects: 1 unreferenced\n +1 objects +112 bytes  kernel/monitor_alloc.c:\d+ .*%s" % self.held[0])

    def test_printers(self):
        for text in self.everywhere("print *(struct page *)(0xffffff8000000000 + 16 * ((%s - 0xffff800000000000) >> 12))" % self.held[1],
                                    "print cache_cache"):
            self.assertIn("{large, node 0, 13 pages, 50000 bytes by kernel/monitor_alloc.c:", text)
            self.assertIn("{kmem_cache: size ", text)

    def test_mistakes_get_one_line(self):
        text = gdb("pages", "slabs none", "kmalloc-info 5", "kmalloc-info", "pages large small", "sites x", core=self.core)
        self.assertIn("slabs: no cache is named none", text)
        self.assertIn("kmalloc-info: 0x5 is not in the direct map", text)
        self.assertIn("usage: kmalloc-info ADDRESS", text)
        self.assertIn("usage: sites [COUNT]", text)
        self.assertNotIn("Traceback", text)
        text = gdb("pages", "leaks")
        self.assertEqual(text.count("the memory manager is not up yet"), 2, text)
        self.assertNotIn("Traceback", text)


if __name__ == "__main__":
    unittest.main()
