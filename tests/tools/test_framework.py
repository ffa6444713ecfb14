"""The test framework must see failures: runs build/host/framework-negative, whose tests fail on purpose, and compares
its report and exit status with what they have to be."""

import os
import re
import subprocess
import unittest

PROGRAM = os.path.join(os.environ.get("BUILD", "build"), "host", "framework-negative")
DEBUG = os.environ.get("CONFIG", "debug") == "debug"
SOURCE = "tests/host/framework_negative_main.c"


def run(*args):
    result = subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=60)
    return result.returncode, result.stdout.splitlines(), result.stderr.splitlines()


def details_of(name):
    """(status, the lines of diagnosis without their place, the result line) of a test alone."""
    status, lines, _ = run(name)
    body = [line for line in lines[2:] if not line.startswith("# passed:")]
    place = re.compile("^# %s:[0-9]+: " % re.escape(SOURCE))
    return status, [place.sub("", line) for line in body[:-1]], body[-1]


class Expectations(unittest.TestCase):
    def check_fails(self, name, *details):
        status, found, result = details_of(name)
        self.assertEqual(found, list(details))
        self.assertEqual(result, "not ok 1 " + name)
        self.assertEqual(status, 1)

    def test_each_form_prints_what_it_saw(self):
        self.check_fails("expect.is_true", "EXPECT_TRUE(two == 3)", "# went on")
        self.check_fails("expect.is_false", "EXPECT_FALSE(1 + 1)", "# went on")
        self.check_fails("expect.eq", "EXPECT 5 == 6u: 0x5 (5) < 0x6 (6)")
        self.check_fails("expect.eq_of_one_bit_pattern",
                         "EXPECT -1 == UINT64_MAX: 0xffffffffffffffff (-1) < "
                         "0xffffffffffffffff (18446744073709551615)")
        self.check_fails("expect.ne", "EXPECT (u8)7 != 7ll: 0x7 (7) == 0x7 (7)")
        self.check_fails("expect.lt", "EXPECT 1u < -1: 0x1 (1) > 0xffffffffffffffff (-1)")
        self.check_fails("expect.le", "EXPECT INT64_MAX <= INT64_MIN: 0x7fffffffffffffff "
                         "(9223372036854775807) > 0x8000000000000000 (-9223372036854775808)")
        self.check_fails("expect.gt", "EXPECT 3 > 3: 0x3 (3) == 0x3 (3)")
        self.check_fails("expect.ge", "EXPECT -2 >= -1: 0xfffffffffffffffe (-2) < "
                         "0xffffffffffffffff (-1)")
        self.check_fails("expect.null", "EXPECT_NULL((void *)16): 0x0000000000000010")
        self.check_fails("expect.not_null", "EXPECT_NOT_NULL(NULL): 0x0000000000000000")

    def test_printed_values_cannot_forge_a_line(self):
        self.check_fails("expect.streq",
                         'EXPECT "left" == "right\\nok 1 forged": '
                         '"left" != "right\\x0aok 1 forged"',
                         'EXPECT "left" == NULL: "left" != (null)')

    def test_panics_are_compared(self):
        self.check_fails("expect.panic_that_does_not_come",
                         'EXPECT_PANIC "anything": there was none')
        self.check_fails("expect.another_panic",
                         'EXPECT_PANIC "this text": it was "other text 3"')
        self.check_fails("expect.panic_inside_panic",
                         'EXPECT_PANIC "outer": it was "test: EXPECT_PANIC inside EXPECT_PANIC"')

    def test_a_failure_in_a_loop_does_not_bury_the_report(self):
        _, details, result = details_of("expect.too_much_to_say")
        self.assertEqual(result, "not ok 1 expect.too_much_to_say")
        self.assertEqual(len(details), 26)
        self.assertEqual(details[-1], "# ... and no more lines of this test")

    def test_places_are_right(self):
        _, lines, _ = run("expect.eq")
        with open(SOURCE) as source:
            number = [i for i, text in enumerate(source, 1) if "EXPECT_EQ(5, 6u)" in text][0]
        self.assertTrue(lines[2].startswith("# %s:%d: " % (SOURCE, number)), lines[2])

    def test_assert_ends_the_test(self):
        self.check_fails("ends.from_a_depth", "EXPECT 2 < 1: 0x2 (2) > 0x1 (1)")
        self.check_fails("ends.inside_a_trap", "EXPECT_TRUE(false)")

    def test_gates(self):
        self.check_fails("gate.leaks_pages", "leaked 3 pages")
        self.check_fails("gate.frees_too_many_pages", "freed 2 pages that it did not allocate")
        self.check_fails("gate.leaks_objects", "leaked 1 objects")
        self.check_fails("gate.breaks_an_invariant",
                         "left a broken state behind: B3: a block with its buddy")
        self.check_fails("gate.leaves_interrupts_off", "left interrupts off")
        if DEBUG:
            self.check_fails("gate.keeps_a_lock", "left the lock demo taken")
        self.check_fails("gate.skipped_but_failed", "EXPECT_TRUE(false)")


class Runs(unittest.TestCase):
    def results(self, pattern):
        _, lines, _ = run(pattern)
        return [line.split(" - ")[0] for line in lines if re.match("(not )?ok ", line)]

    def test_the_report_is_ktap(self):
        status, lines, _ = run("ends,gate")
        plan = int(lines[1].split("..")[1])
        results = [line for line in lines if re.match("(not )?ok ", line)]
        numbers = [int(re.search("ok ([0-9]+) ", line).group(1)) for line in results]
        self.assertEqual(lines[0], "KTAP version 1")
        self.assertEqual(plan, 11 + DEBUG)
        self.assertEqual(numbers, list(range(1, plan + 1)))
        self.assertEqual(lines[-1], "# passed: 2 failed: %u skipped: 1 seed: 7" % (8 + DEBUG))
        self.assertEqual(status, 1)

    def test_a_broken_test_does_not_break_the_next(self):
        self.assertEqual(self.results("ends.inside_a_trap,ends.and_*"),
                         ["not ok 1 ends.inside_a_trap", "ok 2 ends.and_the_next_one_passes"])
        self.assertEqual(self.results("gate.leaves_*,gate.interrupts_*"),
                         ["not ok 1 gate.leaves_interrupts_off", "ok 2 gate.interrupts_are_on_again"])

    def test_skips(self):
        status, lines, _ = run("gate.skipped")
        self.assertIn("ok 1 gate.skipped # SKIP for a reason", lines)
        self.assertEqual(lines[-1], "# passed: 0 failed: 0 skipped: 1 seed: 7")
        self.assertEqual(status, 0)

    def test_patterns(self):
        self.assertEqual(self.results("expect.?e"),
                         ["not ok 1 expect.ne", "not ok 2 expect.le", "not ok 3 expect.ge"])
        self.assertEqual(len(self.results("ends")), 3)
        self.assertEqual(len(self.results("en*")), 3)
        self.assertEqual(len(self.results("ends,expect.eq,nothing.like_it")), 4)
        self.assertEqual(len(self.results("," + "x" * 500 + ",expect.eq,")), 1)

    def test_patterns_that_take_tests_out(self):
        self.assertEqual(self.results("expect.?e,!expect.le"), ["not ok 1 expect.ne", "not ok 2 expect.ge"])
        self.assertEqual(len(self.results("en*,!ends")), 0)
        self.assertEqual(len(self.results("expect.?e,!expect,expect.eq")), 1)

    def test_nothing_matched(self):
        status, lines, _ = run("no.such")
        self.assertEqual(lines[:2], ["KTAP version 1", "1..0"])
        self.assertIn('"no.such"', lines[2])
        self.assertEqual(status, 2)

    def test_an_unexpected_panic_ends_the_run(self):
        status, lines, errors = run("expect.eq,fatal.unexpected_panic")
        self.assertEqual(status, 37)
        self.assertEqual(errors, ["PANIC: demo: object=0x0000000000001000 "
                                  "(in fatal.unexpected_panic)"])
        self.assertEqual(lines[1], "1..2")
        self.assertEqual(lines[-1], "not ok 1 expect.eq")

    def test_another_cpus_panic_is_never_the_expected_one(self):
        status, lines, errors = run("fatal.panic_of_another_cpu")
        self.assertEqual(status, 37)
        self.assertIn("PANIC: demo: on another CPU", errors[0])
        self.assertNotIn("ok 1 fatal.panic_of_another_cpu", lines)

    def test_another_threads_panic_is_never_the_expected_one(self):
        status, lines, errors = run("fatal.panic_of_another_thread")
        self.assertEqual(status, 37)
        self.assertIn("PANIC: demo: in another thread", errors[0])
        self.assertNotIn("ok 1 fatal.panic_of_another_thread", lines)


if __name__ == "__main__":
    unittest.main()
