"""The fuzz runner: a finding, a target that dies, and one that never ran must not look like a pass.

The targets here are shell scripts that say what libFuzzer would say.
"""

import os
import stat
import subprocess
import sys
import tempfile
import unittest

RUNNER = "tests/fuzz/run.py"
DONE = "echo 'stat::number_of_executed_units: 1000'; exit 0"


class Fuzz(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="strata-fuzz-test-")
        self.addCleanup(self.folder.cleanup)

    def target(self, name, script):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write("#!/bin/sh\necho \"$@\" > %s.args\n%s\n" % (path, script))
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def run_it(self, *arguments):
        done = subprocess.run([sys.executable, RUNNER, "--bin", self.folder.name, *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=60)
        return done.returncode, done.stdout.decode()

    def arguments_of(self, name):
        with open(os.path.join(self.folder.name, name + ".args"), encoding="utf-8") as out:
            return out.read()

    def test_nothing_found(self):
        self.target("buddy", DONE)
        status, out = self.run_it("--only", "buddy")
        self.assertEqual((status, out.splitlines()[-1]), (0, "1 passed, 0 failed"), out)
        self.assertIn("1000 runs, nothing found", out)
        self.assertIn("-seed=1", self.arguments_of("buddy"))
        self.assertIn("seeds/buddy", self.arguments_of("buddy"))

    def test_a_finding_names_the_input_and_the_command(self):
        self.target("buddy", DONE)
        self.target("trace", "echo 'FINDING: it is wrong'; echo 'Test unit written to /x/trace-crash-1'; exit 77")
        status, out = self.run_it("--only", "trace,buddy")
        self.assertEqual((status, out.splitlines()[-1]), (1, "1 passed, 1 failed"), out)
        self.assertIn("it is wrong", out)
        self.assertIn(os.path.join(self.folder.name, "trace") + " /x/trace-crash-1", out)

    def test_a_sanitizer_report_is_a_finding(self):
        self.target("trace", "echo 'SUMMARY: AddressSanitizer: heap-buffer-overflow trace.c:80'; exit 1")
        status, out = self.run_it("--only", "trace")
        self.assertEqual(status, 1)
        self.assertIn("heap-buffer-overflow trace.c:80", out)

    def test_a_target_that_dies_or_says_nothing_is_no_pass(self):
        for script in ("kill -9 $$", "exit 0", "exit 3"):
            self.target("heap", script)
            status, out = self.run_it("--only", "heap")
            self.assertEqual((status, out.splitlines()[-1]), (1, "0 passed, 1 failed"), script)

    def test_time_keeps_the_corpus(self):
        self.target("pages", DONE)
        self.assertEqual(self.run_it("--only", "pages", "--time", "7")[0], 0)
        self.assertIn("-max_total_time=7", self.arguments_of("pages"))
        self.assertNotIn("-seed=1", self.arguments_of("pages"))
        self.assertTrue(os.path.isdir(os.path.join(self.folder.name, "corpus", "pages")))

    def test_wrong_usage_says_what_was_wrong(self):
        self.target("pages", DONE)
        for arguments, why in ((("--only", "nonsense"), "no such target in nonsense"), (("--only", "buddy"), "not built: buddy"),
                               (("--only", "pages", "--time", "x"), "--time"), (("--only", "pages", "--jobs", "0"), "positive")):
            status, out = self.run_it(*arguments)
            self.assertEqual(status, 64, out)
            self.assertIn(why, out)
            self.assertEqual(len(out.splitlines()), 1, out)


if __name__ == "__main__":
    unittest.main()
