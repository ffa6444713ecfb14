"""The installer on pretended machines: a PATH that holds only what the test puts there, and managers that log."""

import os
import shutil
import stat
import subprocess
import tempfile
import unittest

DEPS = os.path.abspath(os.path.join("tools", "deps"))
BASICS = "sh sed cut sort tr grep uname find head cat printf mktemp rm ls dirname".split()


class Machine(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="strata-test-")
        self.addCleanup(self.folder.cleanup)
        for name in BASICS:
            os.symlink(shutil.which(name), os.path.join(self.folder.name, name))
        self.program("id", "echo 1000")

    def program(self, name, body="exit 0"):
        path = os.path.join(self.folder.name, name)
        with open(path, "w") as f:
            f.write("#!/bin/sh\n" + body + "\n")
        os.chmod(path, stat.S_IRWXU)

    def deps(self, *options, **environment):
        env = {"PATH": self.folder.name, "HOME": "/nowhere", **environment}
        done = subprocess.run([DEPS, *options], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, timeout=30)
        return done.returncode, done.stdout.decode()

    def test_no_manager_prints_the_list_and_stops(self):
        code, out = self.deps("--for", "build")
        self.assertEqual(code, 1)
        self.assertIn("no package manager", out)
        self.assertIn("package: nasm", out)

    def test_each_manager_gets_its_own_names(self):
        for manager, program, package in (("apt", "apt-get", "qemu-system-x86"), ("dnf", "dnf", "qemu-system-x86-core"),
                                          ("pacman", "pacman", "libisoburn"), ("zypper", "zypper", "qemu-x86"),
                                          ("brew", "brew", "x86_64-elf-gcc")):
            self.program(program, 'echo "called %s $*"' % program)
            self.program("sudo", 'echo "sudo $*"; exec "$@"')
            code, out = self.deps("--for", "run")
            os.unlink(os.path.join(self.folder.name, program))
            self.assertEqual(code, 1, manager)  # the fake installed nothing, and that is said
            self.assertIn("still missing", out)
            called = [line for line in out.splitlines() if line.startswith("called " + program)]
            self.assertTrue(any(package in line.split() for line in called), (manager, out))
            self.assertEqual("sudo " in out, manager != "brew", (manager, out))

    def test_root_needs_no_sudo(self):
        self.program("id", "echo 0")
        self.program("apt-get", 'echo "called apt-get $*"')
        self.program("sudo", 'echo "sudo used"')
        _, out = self.deps("--for", "build")
        self.assertIn("called apt-get install -y --no-install-recommends", out)
        self.assertNotIn("sudo", out)

    def test_not_root_and_no_sudo_prints_the_command(self):
        self.program("apt-get", 'echo "called"')
        code, out = self.deps("--for", "build")
        self.assertEqual(code, 1)
        self.assertIn("Run this as root", out)
        self.assertIn("apt-get install", out)
        self.assertNotIn("called", out)

    def test_nothing_missing_is_quiet(self):
        for name in "gcc ld objcopy nm make nasm python3".split():
            self.program(name)
        if not os.path.exists("/usr/include/stdio.h"):
            self.skipTest("no C library headers here")
        self.assertEqual(self.deps("--for", "build"), (0, ""))

    def test_an_installation_is_verified(self):
        self.program("id", "echo 0")
        for name in "gcc ld objcopy nm make python3".split():
            self.program(name)
        nasm = os.path.join(self.folder.name, "nasm")
        self.program("apt-get", "case $1 in install) cp '%s' '%s';; esac" % (
            os.path.join(self.folder.name, "make"), nasm))
        os.symlink(shutil.which("cp"), os.path.join(self.folder.name, "cp"))
        code, out = self.deps("--for", "build")
        self.assertEqual(code, 0, out)
        self.assertIn("missing for build: nasm", out)

    def test_check_installs_nothing(self):
        self.program("apt-get", 'echo "called"')
        code, out = self.deps("--check")
        self.assertEqual(code, 1)
        self.assertNotIn("called", out)
        self.assertIn("missing  nasm", out)
        self.assertIn("make deps", out)

    def test_every_manager_has_a_list(self):
        for manager in ("apt", "dnf", "pacman", "zypper", "brew"):
            code, out = self.deps("--list", manager)
            self.assertEqual(code, 0)
            self.assertIn("nasm", out.split())

    def test_bad_options(self):
        for options in (("--nonsense",), ("--for",), ("--for", "nothing"), ("--list", "pip"), ("extra",)):
            code, out = self.deps(*options)
            self.assertEqual(code, 64, options)
            self.assertEqual(len(out.strip().splitlines()), 1, out)

    def test_help(self):
        code, out = self.deps("--help")
        self.assertEqual(code, 0)
        self.assertIn("--check", out)

    def chosen(self, system, machine, *programs):
        """Which compiler and linker the Makefile chooses, on a pretended machine."""
        os.unlink(os.path.join(self.folder.name, "uname"))
        self.program("uname", 'case $1 in -s) echo %s ;; *) echo %s ;; esac' % (system, machine))
        for name in programs:
            self.program(name)
        for name in ("make", "echo", "env", "getconf", "python3", "mkdir"):
            if not os.path.exists(os.path.join(self.folder.name, name)):
                os.symlink(shutil.which(name), os.path.join(self.folder.name, name))
        env = {"PATH": self.folder.name, "HOME": "/nowhere"}
        command = ["make", "--no-print-directory", "--eval", "chosen: ; @echo $(CC) $(LD) $(OBJCOPY) $(NM)",
                   "BUILD=" + os.path.join(self.folder.name, "b"), "chosen"]
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode().split()

    def test_its_own_where_that_makes_x86_64_elf(self):
        self.assertEqual(self.chosen("Linux", "x86_64", "gcc", "clang"), ["gcc", "ld", "objcopy", "nm"])

    def test_a_cross_compiler_comes_first_elsewhere(self):
        self.assertEqual(self.chosen("Darwin", "x86_64", "gcc", "x86_64-elf-gcc", "clang"),
                         ["x86_64-elf-gcc", "x86_64-elf-ld", "x86_64-elf-objcopy", "x86_64-elf-nm"])
        self.assertEqual(self.chosen("Linux", "aarch64"),
                         ["x86_64-elf-gcc", "x86_64-elf-ld", "x86_64-elf-objcopy", "x86_64-elf-nm"])

    def test_else_clang_with_its_own_tools(self):
        self.assertEqual(self.chosen("Darwin", "arm64", "gcc", "clang", "ld.lld", "llvm-objcopy", "llvm-nm"),
                         ["clang", "ld.lld", "llvm-objcopy", "llvm-nm"])
        code, out = self.deps("--for", "build", "--check")
        self.assertNotIn("missing  compiler", out)
        self.assertNotIn("missing  binutils", out)


if __name__ == "__main__":
    unittest.main()
