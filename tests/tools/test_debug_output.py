"""make qemu-log, make trace-calls and make debug: what they say, of logs made by hand and of the kernel itself."""

import os
import pty
import select
import stat
import subprocess
import sys
import tempfile
import time
import unittest

from test_monitor import BUILD, KERNEL, QEMU, ROOT

ELF = os.path.join(BUILD, os.environ.get("CONFIG", "debug"), "strata.elf")
TOOLS = os.path.join(ROOT, "tools")
NM = """0000000000001000 T outer
0000000000001100 t inner
0000000000001200 T other
0000000000001300 T end
"""


def run(tool, *arguments, text=None, environment=None):
    done = subprocess.run([sys.executable, os.path.join(TOOLS, tool), *arguments], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=200, env={**os.environ, **(environment or {})})
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode()


class Scratch(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="strata-test-")
        self.addCleanup(self.folder.cleanup)
        self.nm = self.path("nm", "#!/bin/sh\ncat <<'END'\n%sEND\n" % NM, True)

    def path(self, name, text="", executable=False):
        path = os.path.join(self.folder.name, name)
        with open(path, "w") as f:
            f.write(text)
        if executable:
            os.chmod(path, stat.S_IRWXU)
        return path


LOG = """CPU Reset (CPU 0)
Servicing hardware INT=0x08
Servicing hardware INT=0xe0
Servicing hardware INT=0xe0
check_exception old: 0xffffffff new 0xe
     0: v=0e e=0002 i=0 cpl=0 IP=0010:0000000000001105 pc=0000000000001105 SP=0018:00000000 CR2=00000000deadbeef
CR0=80010011 CR2=00000000deadbeef CR3=0000000000001000 CR4=00000020
check_exception old: 0xe new 0xd
     1: v=08 e=0000 i=0 cpl=0 IP=0010:0000000000001105 pc=0000000000001105 SP=0018:00000000 env->regs[R_EAX]=0
Invalid access at addr 0xFEE00000, size 4, region '(null)', reason: rejected
"""


class QemuLog(Scratch):
    def read(self, text):
        return run("qemu-log", "--elf", self.path("elf"), "--nm", self.nm, self.path("log", text))

    def test_what_is_in_a_log(self):
        code, out, err = self.read(LOG)
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"(?s)interrupts: 3\n +2  vector 0xe0\n +1  vector 0x8\nexceptions: 2\n")
        self.assertIn("page fault           error 0x0002  at inner+0x5  address 0xdeadbeef\n", out)
        self.assertIn("double fault         error 0x0000  at inner+0x5\n", out)
        self.assertIn("1  Invalid access at addr 0xFEE00000", out)
        self.assertNotIn("TRIPLE", out)

    def test_a_triple_fault(self):
        code, out, _ = self.read(LOG + "Triple fault\n")
        self.assertEqual(code, 1)
        self.assertIn("TRIPLE FAULT", out)

    def test_wrong_usage(self):
        self.assertEqual(run("qemu-log")[0], 64)
        code, out, err = run("qemu-log", self.path("x") + ".none")
        self.assertEqual((code, out, err.count("\n")), (64, "", 1))
        self.assertEqual(run("qemu-log", "--help")[0], 0)


class TraceCalls(Scratch):
    def follow(self, addresses, *options):
        """A QEMU that logs these blocks where -D says."""
        lines = "".join("Trace 0: 0x7f00 [00000000/%016x/00000000/ff000000] \n" % a for a in addresses)
        qemu = self.path("qemu", "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" = -D ] && to=$2; shift; done\n"
                         "cat > \"$to\" <<'END'\nsome other line\n%sEND\n" % lines, True)
        kernel = self.path("kernel")
        return run("trace-calls", "--qemu", qemu, "--kernel", kernel, "--elf", kernel, "--nm", self.nm, *options)

    def test_calls_and_returns(self):
        blocks = [0x1200, 0x1000, 0x1004, 0x1100, 0x1200, 0x1204, 0x1108, 0x1010, 0x1200, 0x1020, 0x1304, 0x1100]
        code, out, _ = self.follow(blocks, "--from", "outer")
        self.assertEqual((code, out), (0, "outer\n  inner\n    other\n  other\n"))
        self.assertEqual(self.follow(blocks, "--from", "outer", "--depth", "2")[1], "outer\n  inner\n  other\n")
        self.assertEqual(self.follow(blocks, "--from", "outer", "--lines", "2")[1], "outer\n  inner\n")

    def test_only_of_a_folder(self):
        self.path("nm", "#!/bin/sh\ncase $* in *x.o) echo '0 T inner' ;; *) cat <<'END'\n%sEND\nesac\n" % NM, True)
        os.makedirs(os.path.join(self.folder.name, "mm", "debug"))
        self.path(os.path.join("mm", "debug", "x.o"))
        blocks = [0x1000, 0x1200, 0x1100, 0x1200, 0x1204, 0x1108, 0x1204, 0x1010, 0x1304]
        self.assertEqual(self.follow(blocks, "--from", "outer", "--only", "mm")[1], "outer\n  inner\n")

    def test_the_nth_call(self):
        blocks = [0x1000, 0x1200, 0x1304, 0x1000, 0x1100, 0x1304]
        self.assertEqual(self.follow(blocks, "--from", "outer", "--nth", "2")[1], "outer\n  inner\n")
        code, out, err = self.follow(blocks, "--from", "outer", "--nth", "3")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("outer was called 2 times, not 3", err)

    def test_wrong_usage(self):
        code, out, err = self.follow([], "--from", "inn")
        self.assertEqual((code, out), (64, ""))
        self.assertIn("no such function; there is inner", err)
        self.assertEqual(self.follow([], "--from", "outer", "--nth", "0")[0], 64)
        self.assertEqual(self.follow([])[0], 64)
        self.assertEqual(self.follow([], "--from", "outer", "--only", "nowhere")[0], 64)
        self.assertEqual(run("trace-calls", "--help")[0], 0)

    def test_the_kernel_itself(self):
        """The start of the memory manager, early in the boot: its steps in their order."""
        code, out, err = run("trace-calls", "--qemu", QEMU, "--kernel", KERNEL, "--elf", ELF, "--mem", "64M", "--only", "mm", "--append", "test=list.*",
                             "--from", "mm_init", "--depth", "2")
        self.assertEqual((code, err), (0, ""))
        calls = out.splitlines()
        self.assertEqual(calls[0], "mm_init")
        steps = [calls.index("  " + name) for name in ("site_init", "reclaim_init", "cpu_pages_init", "slab_init", "kmalloc_init")]
        self.assertEqual(steps, sorted(steps))


class Debug(unittest.TestCase):
    ARGUMENTS = ["--debug", ELF, "--kernel", KERNEL, "--mem", "64M", "--append", "test=list.*"]

    def test_a_pipe_gets_the_plain_prompt(self):
        code, out, _ = run("run-qemu", *self.ARGUMENTS, text=b"info breakpoints\ncontinue\nkill\nquit\n")
        self.assertEqual(code, 0, out)
        for name in ("platform_panic", "panic_trap", "kernel_main"):
            self.assertRegex(out, r"breakpoint +keep y +0x[0-9a-f]+ in %s" % name)
        self.assertRegex(out, r"Breakpoint \d+, .*kernel_main \(")

    def on_terminal(self, layout):
        """What gdb answers to `info win` on a terminal of 40 lines."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm", LINES="40", COLUMNS="120", STRATA_LAYOUT=layout)
            os.execv(sys.executable, [sys.executable, os.path.join(TOOLS, "run-qemu"), *self.ARGUMENTS])
        text, asked, end = b"", False, time.monotonic() + 120
        try:
            while time.monotonic() < end:
                if select.select([terminal], [], [], 1)[0]:
                    text += os.read(terminal, 65536)
                if not asked and text.count(b"(gdb)") and b"Stops at" in text:
                    asked = os.write(terminal, b"info win\nkill\ny\nquit\ny\n") > 0
        except OSError:
            pass  # the other end is closed: gdb has ended
        finally:
            os.close(terminal)
            os.waitpid(pid, 0)
        return text.decode("latin-1")

    def test_a_terminal_gets_windows(self):
        text = self.on_terminal("")
        for window in ("src", "asm", "regs", "cmd"):
            self.assertRegex(text, r"%s +\d+" % window)
        self.assertIn("has focus", text)

    def test_unless_asked_not_to(self):
        self.assertIn("The TUI is not active", self.on_terminal("plain"))


if __name__ == "__main__":
    unittest.main()
