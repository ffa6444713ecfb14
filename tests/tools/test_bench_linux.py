"""tools/bench-linux and tools/linux_kernel.py without Linux: where they refuse to run, usage, packages, archives, figures
and the report; that compat.h stands for every header that the shared sources ask for; and the small kernel before Linux's
in real QEMU.

Linux's own figures are opt-in (`make bench-linux`): they need Debian's packages from the network.
"""

import fnmatch
import importlib.machinery
import importlib.util
import json
import lzma
import os
import platform
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import types
import unittest

TOOL = os.path.abspath(os.path.join("tools", "bench-linux"))
DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'


sys.path.insert(0, os.path.dirname(TOOL))
import linux_kernel as kernel  # noqa: E402


def load():
    loader = importlib.machinery.SourceFileLoader("bench_linux", TOOL)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_linux", loader))
    loader.exec_module(module)
    return module


tool = load()


def run_tool(*options, **environment):
    """(status, output) of the tool as a program."""
    done = subprocess.run([sys.executable, TOOL, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=60, env={**os.environ, **environment})
    return done.returncode, done.stdout.decode()


class Scratch(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="strata-test-")
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name

    def path(self, name, content=""):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return path

    def program(self, name, body):
        path = self.path(name, "#!/bin/sh\n" + body)
        os.chmod(path, stat.S_IRWXU)
        return path

    def failure(self, status, call, *arguments, **more):
        """The text of the Failure that the call must raise, with this status."""
        with self.assertRaises(kernel.Failure) as caught:
            call(*arguments, **more)
        self.assertEqual(caught.exception.status, status)
        return str(caught.exception)


class Systems(Scratch):
    def test_debian_may_go_on(self):
        kernel.check_system(DEBIAN, "x86_64", which=lambda name: "/bin/" + name)

    def test_other_systems_get_one_line_that_names_them(self):
        for text, machine, name in (("ID=fedora\n", "x86_64", "fedora on x86_64"), (DEBIAN, "aarch64", "debian on aarch64"),
                                    ('ID="opensuse-leap"\n', "x86_64", "opensuse-leap"), ("", "arm64", "unknown on arm64"),
                                    ("ID=ubuntu\nID_LIKE=debian\n", "x86_64", "ubuntu")):
            said = self.failure(kernel.MISSING, kernel.check_system, text, machine)
            self.assertIn(name, said)
            self.assertIn("needs Debian on x86_64", said)
            self.assertNotIn("\n", said)

    def test_a_missing_tool_is_named(self):
        said = self.failure(kernel.MISSING, kernel.check_system, DEBIAN, "x86_64",
                            which=lambda name: name if name != "dpkg-deb" else None)
        self.assertIn("dpkg-deb is not installed", said)


class Usage(Scratch):
    def refused(self, *options):
        code, out = run_tool(*options)
        self.assertEqual(code, 64, out)
        return out.strip().splitlines()[-1]

    def test_wrong_options(self):
        self.assertIn("--nonsense", self.refused("--check", "--nonsense"))
        self.assertIn("required", self.refused())
        self.assertIn("not allowed with", self.refused("--check", "--show", "x"))

    def test_wrong_values_are_named(self):
        self.assertIn("no such file: none.elf", self.refused("--kernel", "none.elf"))
        self.assertIn("not ../../x", self.refused("--kernel", TOOL, "--release", "../../x"))
        self.assertIn("--timeout", self.refused("--kernel", TOOL, "--timeout", "soon"))

    def test_help_names_every_option(self):
        code, out = run_tool("--help")
        self.assertEqual(code, 0)
        for option in ("--kernel", "--only", "--debian-defaults", "--show", "--twice", "--append", "Exit status"):
            self.assertIn(option, out)

    def test_a_folder_that_kbuild_cannot_use(self):
        args = types.SimpleNamespace(build=os.path.join(self.folder, "a b"))
        if platform.machine() == "x86_64" and os.path.exists("/etc/debian_version"):
            self.assertIn("has a blank", self.failure(kernel.USAGE, tool.measure, args))


class Packages(Scratch):
    def apt(self, body):
        """An apt-cache of ours in front of the real one."""
        self.program("apt-cache", body)
        before = os.environ["PATH"]
        os.environ["PATH"] = self.folder + os.pathsep + before
        self.addCleanup(os.environ.__setitem__, "PATH", before)

    def test_the_kernel_is_the_one_that_the_meta_package_names(self):
        self.apt('printf "%s\\n  Depends: linux-image-6.1.0-9-amd64\\n" linux-image-amd64\n')
        self.assertEqual(kernel.find_release(), "6.1.0-9-amd64")

    def test_the_headers_come_with_their_common_half_and_kbuild(self):
        self.apt('printf "h\\n  Depends: linux-headers-6.1.0-9-common\\n  Depends: linux-kbuild-6.1\\n  Depends: gcc-x\\n"\n')
        self.assertEqual(kernel.packages_of("6.1.0-9-amd64"), [
            "linux-image-6.1.0-9-amd64", "linux-headers-6.1.0-9-amd64", "linux-headers-6.1.0-9-common", "linux-kbuild-6.1"])

    def test_no_lists_says_how_to_get_them(self):
        self.apt("echo 'E: No packages found' >&2; exit 100\n")
        self.assertIn("apt-get update", self.failure(kernel.MISSING, kernel.find_release))
        said = self.failure(kernel.MISSING, kernel.fetch, "6.1.0-9-amd64", os.path.join(self.folder, "root"))
        self.assertIn("no headers for Linux 6.1.0-9-amd64", said)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "root")))

    def test_what_was_unpacked_is_not_fetched_again(self):
        self.apt("exit 100\n")
        self.path("unpacked", "6.1.192-2\n")
        self.assertEqual(kernel.fetch("6.1.0-9-amd64", self.folder), "6.1.192-2")

    def test_a_failed_command_shows_its_last_lines(self):
        said = self.failure(kernel.FAILED, kernel.run, ["sh", "-c", "echo first; echo no space left; exit 3"], "the download")
        self.assertIn("the download failed", said)
        self.assertIn("no space left", said)


class Images(Scratch):
    def image(self, payload, magic=b"HdrS"):
        """A bzImage: a boot sector, six sectors of setup with the header, then the payload 64 bytes in."""
        head = bytearray(7 * 512)
        head[0x1f1] = 6
        head[0x202:0x206] = magic
        struct.pack_into("<II", head, 0x248, 64, len(payload))
        return self.path("vmlinuz", bytes(head) + b"\0" * 64 + payload + b"after it")

    def test_the_kernel_is_unpacked(self):
        size = struct.pack("<I", 7)  # follows the xz stream, as in a real one
        self.assertEqual(kernel.unpack_kernel(self.image(lzma.compress(b"\x7fELF...") + size)), b"\x7fELF...")

    def test_other_files_are_refused(self):
        self.assertIn("no Linux kernel image", self.failure(kernel.FAILED, kernel.unpack_kernel, self.image(b"", b"none")))
        self.assertIn("not packed with xz", self.failure(kernel.FAILED, kernel.unpack_kernel, self.image(b"\x1f\x8b......")))

    def test_the_headers_find_their_common_half_here(self):
        folder = os.path.join(self.folder, "usr", "src", "linux-headers-6.1.0-9-amd64")
        os.makedirs(folder)
        with open(os.path.join(folder, "Makefile"), "w") as f:
            f.write("include /usr/src/linux-headers-6.1.0-9-common/Makefile\n")
        for _ in range(2):  # a second time changes nothing
            self.assertEqual(kernel.headers_of(self.folder, "6.1.0-9-amd64"), folder)
            with open(os.path.join(folder, "Makefile")) as f:
                self.assertEqual(f.read(), "include %s/usr/src/linux-headers-6.1.0-9-common/Makefile\n" % self.folder)

    def test_a_missing_compiler_is_named(self):
        self.path(".kernelvariables", "CC = $(CCACHE) $(CROSS_COMPILE)gcc-1234\n")
        self.assertIn("apt-get install gcc-1234", self.failure(kernel.MISSING, kernel.compiler_of, self.folder))

    def test_the_archive_is_one(self):
        files = {"init": (b"program", 0o100755), "a": (b"", 0o100644), "trace.x": (b"12345", 0o100644)}
        data, at, found = kernel.cpio(files), 0, {}
        while True:
            self.assertEqual(data[at:at + 6], b"070701")
            mode, size, name_size = (int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in (1, 6, 11))
            name = data[at + 110:at + 110 + name_size - 1].decode()
            at = (at + 110 + name_size + 3) & ~3
            if name == "TRAILER!!!":
                break
            found[name] = (data[at:at + size], mode)
            at = (at + size + 3) & ~3
        self.assertEqual(found, files)
        self.assertEqual(at, len(data))


class Sources(Scratch):
    def test_every_header_of_the_shared_sources_is_there(self):
        kernel.lay_out(self.folder)
        with open(os.path.join(self.folder, "Kbuild")) as f:
            objects = re.search(r"^strata_bench-y := (.*)$", f.read(), re.M).group(1).split()
        self.assertEqual((objects[0], objects[-1]), ("section_start.o", "section_end.o"))
        asked = set()
        for name in objects:
            with open(os.path.join(self.folder, name[:-2] + ".c")) as f:
                asked |= set(re.findall(r"^#include <([^>]+)>", f.read(), re.M))
        for header in sorted(h for h in asked if not h.startswith(("linux/", "asm/"))):
            self.assertTrue(os.path.exists(os.path.join(self.folder, "include", header)),
                            "<%s>: tests/bench/linux/compat.h must stand for it (COMPAT in tools/linux_kernel.py)" % header)

    def test_no_benchmark_of_linux_alone_is_in_a_shared_source(self):
        """What Strata measures in its own way stands in a file of its own, as page_states_bench.c does."""
        def names(sources):
            found = []
            for source in sources:
                with open(source) as f:
                    found += re.findall(r"^BENCH(?:_OWN)?\((\w+)", f.read(), re.M)
            return set(found)
        shared, own = names(kernel.SHARED), names(os.path.join(kernel.SOURCES, source) for source in kernel.OWN)
        self.assertIn("alloc_pages_bulk64_per_page", shared)
        self.assertIn("alloc_pages_pair_order0_worst_state", own)
        self.assertEqual(shared & own, set())

    def test_a_second_layout_changes_no_source(self):
        kernel.lay_out(self.folder)
        kernel.lay_out(self.folder)
        self.assertTrue(os.path.samefile(os.path.join(self.folder, "bench.c"), "tests/bench/bench.c"))
        self.assertTrue(os.path.samefile(os.path.join(self.folder, "include", "mm", "mm.h"), "tests/bench/linux/compat.h"))


LOG = """[    0.918273] strata_bench: loading out-of-tree module taints kernel.\r
[    1.000001] # bench: one tick of the clock is one guest instruction\r
[    1.000002] alloc_pages_pair_order0 699.0 instructions\r
[    1.000003] vmalloc_vfree_4K 3884.9 instructions\r
[    1.000004] boot_to_memory_512M 0.0 instructions\r
[    1.000005] # bench: the worst state: the CPU's lists full\r
[    1.000006] # bench: 3 benchmarks done\r
"""


class Pretended(tool.Linux):
    """A Linux whose boots print what the test says."""

    def __init__(self, text):
        self.text, self.boots = text, []

    def run(self, only, memory=None, trace=None):
        self.boots.append((only, memory, trace and os.path.basename(trace)))
        return tool.plain_lines(self.text)


class Figures(Scratch):
    def test_the_logs_times_are_taken_off(self):
        self.assertEqual(tool.figures(tool.plain_lines(LOG)), {
            "alloc_pages_pair_order0": (699.0, "instructions"), "vmalloc_vfree_4K": (3884.9, "instructions"),
            "boot_to_memory_512M": (0.0, "instructions")})

    def test_a_figure_that_comes_twice_is_a_fault(self):
        said = self.failure(kernel.FAILED, tool.figures, ["a_pair 3.0 instructions", "a_pair 3.0 instructions"])
        self.assertIn("a_pair was printed twice", said)

    def collect(self, only, text=LOG):
        linux = Pretended(text)
        stdout, sys.stdout = sys.stdout, open(os.devnull, "w")
        try:
            return linux.boots, *tool.linux_figures(linux, only)
        finally:
            sys.stdout.close()
            sys.stdout = stdout

    def test_a_figure_that_could_not_be_taken_is_none(self):
        boots, found, notes = self.collect("*_*")
        self.assertEqual(set(found), {"alloc_pages_pair_order0", "vmalloc_vfree_4K"})
        self.assertEqual(notes[0], "# bench: the worst state: the CPU's lists full")
        self.assertNotIn("benchmarks done", "".join(notes))
        self.assertEqual(boots[:4], [("*_*", None, None)] + [("boot_to_memory", m, None) for m in ("512M", "4G", "16G")])

    def test_only_what_matches_is_booted(self):
        self.assertEqual(self.collect("boot_to_memory_4G")[0], [("boot_to_memory", "4G", None)])
        self.assertEqual(self.collect("trace_u-jq*")[0], [("trace_per_op", None, "u-jq.trace.xz")])
        boots, found, _ = self.collect("vmalloc*")
        self.assertEqual((boots, list(found)), ([("vmalloc*", None, None)], ["vmalloc_vfree_4K"]))

    def test_zeroing_leaves_out_what_would_take_an_hour(self):
        patterns = tool.main_boots("*", True)
        taken = [name for name in ("alloc_pages_pair_order5", "alloc_pages_pair_order9", "alloc_pages_pair_order10",
                                   "alloc_pages_pair_order0_node", "kmalloc_kfree_hot_8", "vmalloc_vfree_4K", "drain64M_x")
                 if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
        self.assertEqual(len(taken), 5, taken)
        self.assertNotIn("alloc_pages_pair_order10", taken)
        self.assertEqual(tool.main_boots("alloc_pages_pair_order9", True), ["alloc_pages_pair_order9"])
        self.assertEqual(tool.main_boots("*", False), ["*"])

    def test_two_runs_that_differ_are_a_fault(self):
        tool.compare({"a": (1.0, "instructions")}, {"a": (1.0, "instructions")})
        for second in ({"a": (2.0, "instructions")}, {}):
            self.assertIn("differ in a", self.failure(kernel.FAILED, tool.compare, {"a": (1.0, "instructions")}, second))


class Report(Scratch):
    STRATA = {"pair": (131.0, "instructions"), "tiny": (318345.0, "instructions"), "mine": (2182.6, "instructions"),
              "near": (20.0, "instructions")}
    LINUX = {"theirs": (15159.0, "instructions"), "tiny": (296000000.0, "instructions"), "pair": (239.5, "instructions"),
             "near": (400.0, "instructions")}

    def report(self):
        return {"release": "6.1.0-9-amd64", "version": "6.1.192-2", "options": "quiet", "notes": ["# bench: a note"],
                "figures": tool.rows(self.STRATA, self.LINUX)}

    def test_strata_first_then_what_linux_alone_has(self):
        self.assertEqual([r["name"] for r in self.report()["figures"]], ["pair", "tiny", "mine", "near", "theirs"])
        self.assertEqual(tool.cells(self.report()), [
            ("pair", "131", "239.5", "0.55"), ("tiny", "318345", "296000000", "0.0011"), ("mine", "2183", "", ""),
            ("near", "20", "400", "0.05"), ("theirs", "", "15159", "")])

    def test_units_must_be_the_same(self):
        said = self.failure(kernel.FAILED, tool.rows, {"pair": (1.0, "cycles")}, {"pair": (1.0, "instructions")})
        self.assertIn("pair is in cycles for Strata and in instructions for Linux", said)

    def test_an_earlier_run_is_shown_again(self):
        path = self.path("report.json", json.dumps(self.report()))
        code, out = run_tool("--show", path)
        self.assertEqual(code, 0, out)
        self.assertEqual(out.splitlines()[1].split(), ["pair", "131", "239.5", "0.55"])
        self.assertIn("# bench: a note", out)
        self.assertIn("Linux 6.1.0-9-amd64 (Debian 6.1.192-2), options: quiet", out)
        self.assertIn("| `pair` | 131 | 239.5 | 0.55 |\n", run_tool("--show", path, "--markdown")[1])

    def test_what_is_no_report_is_refused(self):
        for text in ("{", "[]", "{}", '{"figures": 3}'):
            code, out = run_tool("--show", self.path("report.json", text))
            self.assertEqual((code, out.count("\n")), (64, 1), out)
            self.assertIn("is no report", out)


class Boots(Scratch):
    def args(self, qemu):
        return types.SimpleNamespace(qemu=qemu, timeout="60")

    def test_a_boot_that_fails_shows_the_last_lines(self):
        qemu = self.program("qemu", "echo '[    1.0] Kernel panic - not syncing: no init'; exit 0\n")
        image, initrd = self.path("vmlinux", "x"), self.path("initrd", "x")
        said = self.failure(kernel.FAILED, tool.boot, self.args(qemu), image, initrd, "64M", "quiet")
        self.assertIn("the boot of vmlinux with 64M failed", said)
        self.assertIn("no init", said)

    def test_the_machine_is_the_one_of_make_bench(self):
        qemu = self.program("qemu", "echo \"$*\"; exit 33\n")
        said = " ".join(tool.boot(self.args(qemu), self.path("vmlinux", "x"), self.path("initrd", "x"), "64M", "quiet"))
        for part in ("-icount shift=0,sleep=off", "-cpu max", "-seed 1", "-nic none", "-m 64M", "-smp 1"):
            self.assertIn(part, said)

    def test_what_runs_before_the_kernel_is_counted_exactly(self):
        if platform.machine() != "x86_64" or not shutil.which("nasm"):
            self.skipTest("builds for this machine, with nasm")
        init, first = kernel.build_small(self.folder)
        linux = types.SimpleNamespace(args=self.args(os.environ.get("QEMU", "qemu-system-x86_64")), first=first,
                                      initrd=self.path("initrd", os.urandom(1 << 16)), options="quiet")
        counts = [tool.Linux.before(linux, "64M") for _ in range(2)]
        self.assertEqual(counts[0], counts[1])
        self.assertGreater(counts[0], 100000)  # a BIOS does not start in less
        with open(init, "rb") as f:
            self.assertEqual(f.read(4), b"\x7fELF")


if __name__ == "__main__":
    unittest.main()
