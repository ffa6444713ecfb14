"""The runner's own test: a fake QEMU plays every way in which a run can end, and each must get its verdict."""

import os
import re
import stat
import subprocess
import sys
import tempfile
import time
import unittest

RUNNER = os.path.join("tools", "run-qemu")
PASS, FAILURE, PANIC, HANG, SILENCE, INCONSISTENT, USAGE, MISSING = 0, 1, 2, 3, 4, 5, 64, 69

GOOD = """Strata: booting
KTAP version 1
1..3
ok 1 buddy.a
# a note
ok 2 buddy.b
ok 3 slab.c # SKIP no second node
# passed: 2 failed: 0 skipped: 1 seed: 7
"""


class Scratch(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="strata-test-")
        self.addCleanup(self.folder.cleanup)
        self.kernel = self.path("kernel.elf", "not really a kernel")

    def path(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def fake(self, body):
        """A QEMU made of shell script."""
        path = self.path("qemu", "#!/bin/sh\n" + body)
        os.chmod(path, stat.S_IRWXU)
        return path

    def run_runner(self, qemu, *options, timeout="20"):
        command = [sys.executable, RUNNER, "--qemu", qemu, "--kernel", self.kernel, "--timeout", timeout]
        done = subprocess.run(command + list(options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, timeout=60)
        return done.returncode, done.stdout.decode()

    def play(self, serial, status, *options, then="", timeout="20"):
        """Runs a QEMU that prints `serial` and exits. Returns (status, last line)."""
        text = self.path("serial", serial)
        qemu = self.fake("cat '%s'\n%s\nexit %d\n" % (text, then, status))
        code, out = self.run_runner(qemu, *options, timeout=timeout)
        return code, out.strip().splitlines()[-1]

    def expect(self, want, name, serial, status, *options, **how):
        code, last = self.play(serial, status, *options, **how)
        self.assertEqual(code, want, last)
        self.assertTrue(last.startswith("verdict: %s: " % name), last)
        return last


class Verdicts(Scratch):
    def test_pass(self):
        last = self.expect(PASS, "PASS", GOOD, 33)
        self.assertIn("2 passed, 0 failed, 1 skipped", last)

    def test_pass_behind_terminal_escapes_and_carriage_returns(self):
        self.expect(PASS, "PASS", "\033[2J\033[1;1HGNU GRUB\n\033[0m" + GOOD.replace("\n", "\r\n"), 33)

    def test_pass_serial_is_passed_through_and_logged(self):
        log = os.path.join(self.folder.name, "log")
        text = self.path("serial", GOOD)
        code, out = self.run_runner(self.fake("cat '%s'; exit 33" % text), "--log", log)
        self.assertEqual(code, PASS)
        self.assertIn("ok 2 buddy.b\n", out)
        with open(log) as f:
            self.assertEqual(f.read(), GOOD)

    def test_pass_last_line_without_newline(self):
        self.expect(PASS, "PASS", "Strata\nKTAP version 1\n1..1\nok 1 a.b", 33)

    def test_failure(self):
        last = self.expect(FAILURE, "FAILURE", GOOD.replace("ok 2", "not ok 2"), 35)
        self.assertIn("buddy.b", last)
        self.assertIn("1 passed, 1 failed, 1 skipped", last)

    def test_failure_without_a_report(self):
        self.expect(FAILURE, "FAILURE", "Strata: no test matches\n", 35)

    def test_panic(self):
        last = self.expect(PANIC, "PANIC", GOOD[:60] + "\nPANIC: buddy: double free pfn=7\nCPU 0\n", 37)
        self.assertIn("double free pfn=7", last)

    def test_panic_status_without_its_line(self):
        self.expect(PANIC, "PANIC", "Strata: booting\n", 37)

    def test_panic_that_does_not_end(self):
        self.expect(PANIC, "PANIC", "PANIC: x\n", 0, then="exec sleep 30", timeout="1")

    def test_panic_after_all_passed_with_the_panic_status(self):
        self.expect(PANIC, "PANIC", GOOD + "PANIC: slab: redzone overwritten\n", 37)

    def test_panic_after_all_passed_with_the_passing_status(self):
        last = self.expect(INCONSISTENT, "INCONSISTENT", GOOD + "PANIC: slab: redzone overwritten\n", 33)
        self.assertIn("redzone", last)

    def test_hang_in_a_test(self):
        began = time.monotonic()
        last = self.expect(HANG, "HANG", GOOD[:60], 0, then="sleep 30", timeout="1")
        self.assertLess(time.monotonic() - began, 15)
        self.assertIn("after test", last)

    def test_hang_before_the_first_test(self):
        self.expect(HANG, "HANG", "Strata: booting\n", 0, then="sleep 30", timeout="1")

    def test_hang_after_all_passed(self):
        self.expect(HANG, "HANG", GOOD, 0, then="sleep 30", timeout="1")

    def test_hang_with_output_for_ever(self):
        self.expect(HANG, "HANG", "x\n", 0, then="while :; do echo spam; sleep 0.05; done", timeout="1")

    def test_hang_kills_what_the_emulator_started(self):
        mark = os.path.join(self.folder.name, "pid")
        self.expect(HANG, "HANG", "x\n", 0, then="sleep 300 & echo $! > '%s'; wait" % mark, timeout="1")
        with open(mark) as f:
            pid = int(f.read())
        self.assertFalse(alive(pid), "process %d survived" % pid)

    def test_silence(self):
        self.expect(SILENCE, "SILENCE", "", 0, then="sleep 30", timeout="1")

    def test_silence_but_for_the_boot_loader(self):
        grub = "\033[H\033[J\033[1;1HGNU GRUB  version 2.06\n  Booting `Strata: test'\n\n"
        self.expect(SILENCE, "SILENCE", grub, 0, then="sleep 30", timeout="1")

    def test_silence_with_the_passing_status(self):
        self.expect(SILENCE, "SILENCE", "", 33)

    def test_passing_status_without_tests(self):
        self.expect(INCONSISTENT, "INCONSISTENT", "Strata: booting\n", 33)

    def test_plan_of_no_tests(self):
        self.expect(INCONSISTENT, "INCONSISTENT", "KTAP version 1\n1..0\n", 33)

    def test_truncated_plan(self):
        last = self.expect(INCONSISTENT, "INCONSISTENT", GOOD.replace("1..3", "1..4"), 33)
        self.assertIn("4 tests, 3 reported", last)

    def test_more_results_than_planned(self):
        self.expect(INCONSISTENT, "INCONSISTENT", GOOD.replace("1..3", "1..2"), 33)

    def test_missing_plan(self):
        self.expect(INCONSISTENT, "INCONSISTENT", GOOD.replace("1..3\n", ""), 33)

    def test_missing_version(self):
        self.expect(INCONSISTENT, "INCONSISTENT", GOOD.replace("KTAP version 1\n", ""), 33)

    def test_doubled_result(self):
        self.expect(INCONSISTENT, "INCONSISTENT", GOOD.replace("ok 2", "ok 1"), 33)

    def test_second_report(self):
        self.expect(INCONSISTENT, "INCONSISTENT", GOOD + GOOD, 33)

    def test_failed_test_with_the_passing_status(self):
        last = self.expect(INCONSISTENT, "INCONSISTENT", GOOD.replace("ok 2", "not ok 2"), 33)
        self.assertIn("buddy.b", last)

    def test_suite_that_gives_up(self):
        self.expect(INCONSISTENT, "INCONSISTENT", GOOD + "Bail out! no memory\n", 33)

    def test_reset_in_the_middle(self):
        last = self.expect(INCONSISTENT, "INCONSISTENT", GOOD[:60], 0)
        self.assertIn("triple fault", last)

    def test_reset_after_all_passed(self):
        self.expect(INCONSISTENT, "INCONSISTENT", GOOD, 0)

    def test_emulator_that_dies_at_once(self):
        self.expect(INCONSISTENT, "INCONSISTENT", "", 1)

    def test_emulator_killed_by_a_signal(self):
        last = self.expect(INCONSISTENT, "INCONSISTENT", GOOD, 0, then="kill -SEGV $$")
        self.assertIn("SIGSEGV", last)

    def test_what_failed_is_shown_with_its_reason(self):
        text = self.path("serial", GOOD.replace("ok 2", "not ok 2"))
        _, out = self.run_runner(self.fake("cat '%s'; exit 35" % text), "--quiet")
        self.assertIn("| # a note\n| not ok 2 buddy.b\nverdict", out)
        self.assertNotIn("| ok 1", out)

    def test_last_lines_are_shown_unless_it_passed(self):
        text = self.path("serial", GOOD.replace("1..3", "1..4"))
        _, out = self.run_runner(self.fake("cat '%s'; exit 33" % text), "--quiet")
        self.assertIn("| ok 2 buddy.b", out)
        self.assertEqual(len(re.findall("^verdict: ", out, re.M)), 1)

    def test_the_emulators_own_errors_are_no_test_results(self):
        self.expect(INCONSISTENT, "INCONSISTENT", "Strata\n", 33, then="cat '%s' >&2" % self.path("e", GOOD))


class Expectations(Scratch):
    def test_exit_needs_only_the_status(self):
        self.expect(PASS, "PASS", "replay: operations 9\n", 33, "--expect", "exit")

    def test_exit_failure(self):
        self.expect(FAILURE, "FAILURE", "replay: leak\n", 35, "--expect", "exit")

    def test_exit_hang(self):
        self.expect(HANG, "HANG", "replay\n", 0, "--expect", "exit", then="sleep 30", timeout="1")

    def test_boot_text_ends_the_run(self):
        began = time.monotonic()
        self.expect(PASS, "PASS", "Strata\nstrata> ", 0, "--expect", "boot", "--text", "^strata>", then="sleep 30")
        self.assertLess(time.monotonic() - began, 15)

    def test_boot_text_missing(self):
        self.expect(HANG, "HANG", "Strata\n", 0, "--expect", "boot", "--text", "^strata>", then="sleep 30",
                    timeout="1")

    def test_boot_text_missing_at_the_end(self):
        self.expect(INCONSISTENT, "INCONSISTENT", "Strata\n", 0, "--expect", "boot", "--text", "^strata>")

    def test_boot_text_and_status(self):
        refusal = ("--expect", "boot", "--text", "long mode", "--status", "37")
        self.expect(PASS, "PASS", "no long mode\n", 37, *refusal)
        self.expect(INCONSISTENT, "INCONSISTENT", "no long mode\n", 33, *refusal)
        self.expect(HANG, "HANG", "no long mode\n", 0, *refusal, then="sleep 30", timeout="1")


class Usage(Scratch):
    def check(self, want, *options, qemu="true"):
        code, out = self.run_runner(qemu, *options)
        self.assertEqual(code, want, out)
        return out

    def test_unknown_option(self):
        self.check(USAGE, "--no-such-option")

    def test_no_time(self):
        self.check(USAGE, "--timeout", "0")

    def test_missing_module(self):
        self.assertIn("no such file", self.check(USAGE, "--initrd", "/no/such/file"))

    def test_boot_needs_text(self):
        self.check(USAGE, "--expect", "boot")

    def test_uefi_needs_an_image(self):
        self.check(USAGE, "--uefi")

    def test_broken_xz(self):
        self.assertIn(".xz", self.check(USAGE, "--initrd", self.path("t.xz", "no xz")))

    def test_missing_qemu(self):
        self.assertIn("cannot start", self.check(MISSING, qemu="/no/such/qemu"))

    def test_arguments_reach_qemu(self):
        qemu = self.fake('for a; do echo "arg $a"; done; exit 33\n')
        out = self.check(PASS, "--expect", "exit", "--append", "test seed=4", "--mem", "64M", "--cpu", "qemu64",
                         qemu=qemu)
        for wanted in ("test seed=4", "64M", "qemu64", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-no-reboot"):
            self.assertIn("arg %s\n" % wanted, out)


def alive(pid):
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    unittest.main()
