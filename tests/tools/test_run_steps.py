"""run-steps must not let a broken build, a dead program or a hang look like a pass."""

import subprocess
import sys
import tempfile
import time
import unittest


def steps(*arguments):
    done = subprocess.run([sys.executable, "tools/run-steps", *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=60)
    out = done.stdout.decode()
    return done.returncode, out.strip().splitlines()[-1], out


class Steps(unittest.TestCase):
    def check(self, want, code, *arguments):
        status, last, out = steps(*arguments)
        self.assertEqual((last, status), (want, code), out)
        return out

    def test_counts_are_summed(self):
        self.check("7 passed, 0 failed", 0, "a: echo 3 passed, 0 failed", "b: echo 4 passed, 0 failed")

    def test_only_the_last_count_of_a_step_counts(self):
        self.check("4 passed, 0 failed", 0, "a: echo 3 passed, 9 failed; echo 4 passed, 0 failed")

    def test_a_verdict_line_is_a_count(self):
        self.check("5 passed, 0 failed", 0, "a: echo 'verdict: PASS: 5 passed, 0 failed, 1 skipped, 0.1 s'")

    def test_a_step_without_counts_is_one(self):
        self.check("1 passed, 0 failed", 0, "build: true")
        self.check("0 passed, 1 failed", 1, "build: exit 2")

    def test_failures_are_summed_and_later_steps_still_run(self):
        out = self.check("3 passed, 2 failed", 1, "a: echo 1 passed, 1 failed; exit 1", "b: exit 7",
                         "c: echo 2 passed, 0 failed")
        self.assertIn("=== c", out)

    def test_a_death_after_all_passed(self):
        out = self.check("3 passed, 1 failed", 1, "a: echo 3 passed, 0 failed; kill -SEGV $$")
        self.assertIn("counted no failure", out)

    def test_a_failure_with_status_0(self):
        self.check("3 passed, 1 failed", 1, "a: echo 3 passed, 1 failed")

    def test_what_failed_is_said_again_at_the_end(self):
        out = self.check("1 passed, 2 failed", 1, "fine: echo not ok 1 expected; echo 1 passed, 0 failed",
                         "bad: echo not ok 7 a.b; for i in $(seq 30); do echo; echo x.c:$i:1: error: no; done; echo 0 passed, 1 failed",
                         "dead: exit 3")
        end = out[out.index("step  "):].splitlines()
        self.assertIn("bad: not ok 7 a.b", end)
        self.assertIn("bad: x.c:19:1: error: no", end)
        self.assertNotIn("bad: x.c:20:1: error: no", end)
        self.assertIn("bad: and 11 more such lines", end)
        self.assertIn("dead: ended with status 3", end)
        self.assertNotIn("fine: not ok 1 expected", end)

    def test_a_hang(self):
        began = time.monotonic()
        out = self.check("0 passed, 1 failed", 1, "--timeout", "0.5", "a: sleep 30")
        self.assertEqual(out.count("a: hung: killed"), 2)  # when it happens and at the end
        out = self.check("3 passed, 1 failed", 1, "--timeout", "0.5", "a: echo 3 passed, 0 failed; sleep 30")
        self.assertLess(time.monotonic() - began, 20)

    def test_two_at_a_time_print_in_order(self):
        with tempfile.TemporaryDirectory() as d:
            pipe = d + "/pipe"  # the first can end only when the second runs beside it
            out = self.check("7 passed, 0 failed", 0, "--jobs", "2", "a: mkfifo %s; touch %s/made; cat %s; echo 3 passed, 0 failed" %
                             (pipe, d, pipe), "b: until test -e %s/made; do :; done; echo from b > %s; echo 4 passed, 0 failed" % (d, pipe))
        self.assertLess(out.index("=== a"), out.index("from b"))
        self.assertLess(out.index("3 passed"), out.index("=== b"))

    def test_a_step_that_waits(self):
        with tempfile.TemporaryDirectory() as d:
            self.check("2 passed, 0 failed", 0, "--jobs", "2", "a: sleep 0.3; touch %s/f" % d, "b: then: test -e %s/f" % d)

    def test_one_at_a_time_unless_asked(self):
        with tempfile.TemporaryDirectory() as d:
            self.check("2 passed, 0 failed", 0, "a: sleep 0.3; touch %s/f" % d, "b: test -e %s/f" % d)

    def test_bad_usage(self):
        for arguments in ((), ("no command",), ("--timeout", "x", "a: true"), ("a:",), ("--jobs", "0", "a: true"), ("--jobs",),
                          ("a: true", "b: then:")):
            self.assertEqual(steps(*arguments)[0], 64, arguments)


if __name__ == "__main__":
    unittest.main()
