"""The Bochs runner with a fake Bochs: the end is found on the serial port, since Bochs has no exit status for it."""

import os
import stat
import subprocess
import sys
import tempfile
import unittest


GOOD = "Strata\nKTAP version 1\n1..2\nok 1 a.b\nok 2 a.c\n# passed: 2 failed: 0 skipped: 0 seed: 1\n"


@unittest.skipUnless(os.path.exists("/usr/share/bochs/BIOS-bochs-latest"), "Bochs's BIOS is not installed")
class Bochs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="strata-test-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, stat.S_IRWXU)
        return path

    def play(self, serial, then, timeout="20"):
        text, iso = self.path("text", serial), self.path("iso", "")
        bochs = self.path("bochs", "#!/bin/sh\n[ \"$1\" = --help ] && exit 0\n"
                          "out=$(sed -n 's/^com1:.*dev=//p' \"$3\")\ncat '%s' > \"$out\"\n%s\n" % (text, then))
        done = subprocess.run([sys.executable, "tools/run-bochs", "--bochs", bochs, "--iso", iso, "--timeout", timeout],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=60)
        last = done.stdout.decode().strip().splitlines()[-1]
        return done.returncode, last

    def expect(self, code, name, *how, **more):
        got, last = self.play(*how, **more)
        self.assertEqual(got, code, last)
        self.assertTrue(last.startswith("verdict: %s: " % name), last)

    def test_pass_is_seen_without_an_end(self):
        self.expect(0, "PASS", GOOD, "sleep 30")

    def test_pass_when_bochs_ends_inside_the_last_line(self):
        self.expect(0, "PASS", GOOD[:-12], "exit 1")

    def test_failure(self):
        self.expect(1, "FAILURE", GOOD.replace("ok 2", "not ok 2"), "sleep 30")

    def test_panic(self):
        self.expect(2, "PANIC", GOOD[:40] + "\nPANIC: x\n", "sleep 30")

    def test_panic_after_all_passed(self):
        self.expect(2, "PANIC", GOOD + "PANIC: x\n", "sleep 30")

    def test_missing_results(self):
        self.expect(5, "INCONSISTENT", GOOD.replace("1..2", "1..3"), "sleep 30")

    def test_hang(self):
        self.expect(3, "HANG", GOOD[:40], "sleep 30", timeout="1")

    def test_silence(self):
        self.expect(4, "SILENCE", "", "sleep 30", timeout="1")

    def test_early_end(self):
        self.expect(5, "INCONSISTENT", GOOD[:40], "exit 1")


if __name__ == "__main__":
    unittest.main()
