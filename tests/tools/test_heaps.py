"""tools/heaps: what it prints, its verdicts, and the wrong options. build/host/heaps is what it asks."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import unittest

BUILD = os.environ.get("BUILD", "build")
PROGRAM = os.path.join(BUILD, "host", "heaps")


def load():
    loader = importlib.machinery.SourceFileLoader("heaps", os.path.join("tools", "heaps"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("heaps", loader))
    loader.exec_module(module)
    return module


heaps = load()


def run(*arguments):
    done = subprocess.run([sys.executable, "tools/heaps", "--program", PROGRAM, *arguments], capture_output=True, text=True,
                          timeout=300)
    return done.returncode, done.stdout, done.stderr


def row(**changed):
    values = dict(design="x", ops=100, failures=0, cycles_p50=10, cycles_p99=20, cycles_worst=30, steps_mean=15, steps_p99=2,
                  steps_worst=3, peak_live=50, peak_footprint=100, live=50, used=60, footprint=80, stopped=0,
                  frees=40, joins=20, joining_p50=12, apart_p50=8)
    values.update(changed)
    return heaps.Row(**values)


class Heaps(unittest.TestCase):
    def test_one_trace_on_two_designs(self):
        status, out, _ = run("compare", "--traces", "u-gs", "tlsf", "buddy_heap")
        self.assertEqual(status, 0, out)
        self.assertIn("u-gs: 9334900 bytes live at the peak", out)
        for design in ("tlsf", "buddy_heap"):
            self.assertEqual(out.count("\n%s " % design), 1)
        self.assertTrue(out.endswith("no check failed, no content changed\n"))

    def test_complexity_of_two_designs(self):
        status, out, _ = run("complexity", "segregated", "pool_bitmap")
        self.assertEqual(status, 0, out)
        self.assertRegex(out, r"segregated +alloc +2\.0 +2\.0 +2\.0 +2\.0 +O\(1\) +O\(1\)")
        self.assertRegex(out, r"pool_bitmap +alloc .* O\(n\) +O\(n\)")

    def test_a_deliberate_bug_is_caught(self):
        status, out, _ = run("mutants", "pool_bitmap")
        self.assertEqual(status, 0, out)
        self.assertIn("two live objects overlap", out)
        self.assertTrue(out.endswith("2 caught, 0 survived\n"))

    def test_the_contest_refuses_what_serves_one_size(self):
        status, _, err = run("contest", "pool_list", "--traces", "u-xz")
        self.assertEqual(status, 64)
        self.assertIn("one size only", err)

    def test_wrong_usage_is_one_line(self):
        for arguments, word in ((("compare", "nothing"), "no such design"), (("compare", "--traces", "none"), "no trace is called"),
                                (("dance",), "invalid choice"), (("compare", "--fast"), "unrecognized")):
            status, _, err = run(*arguments)
            self.assertEqual(status, 64, arguments)
            self.assertIn(word, err)
            self.assertEqual(len(err.strip().splitlines()), 1, err)


class Words(unittest.TestCase):
    def test_the_score_is_the_formula(self):
        points, used, speed = heaps.score({"a": (row(), row(cycles_p50=5))})
        self.assertEqual((used, speed), (0.5, 0.5))
        self.assertAlmostEqual(points, 100 * (0.6 * 0.5 + 0.4 * 0.5))
        self.assertAlmostEqual(heaps.score({"a": (row(), row(cycles_p50=50))})[0], 100 * (0.6 * 0.5 + 0.4))

    def test_a_row_has_both_fragmentations(self):
        text = heaps.row_text(row())
        self.assertIn("12.5%", text)  # (60 - 50) / 80
        self.assertIn("25.0%", text)  # (80 - 60) / 80
        self.assertIn("too slow", heaps.row_text(row(stopped=1)))
        self.assertEqual([heaps.steps_cell(row()), heaps.steps_cell(row(stopped=1))], ["1.5", "stopped"])
        self.assertEqual([heaps.peak_cell(row()), heaps.peak_cell(row(peak_footprint=0)), heaps.peak_cell(row(stopped=1))],
                         ["2.00", "-", "stopped"])
        self.assertEqual(heaps.joins_text(row()).split(), ["50", "12", "8"])
        self.assertEqual(heaps.joins_text(row(joins=0)).split(), ["-", "-", "8"])
        self.assertEqual(heaps.joins_text(row(joins=0, frees=0)).split(), ["-", "-", "-"])

    def test_every_design_of_its_own_has_two_bugs(self):
        found = heaps.read_mutants(heaps.MUTANTS)
        files = [name for name in sorted(os.listdir("mm/heaps")) if name.endswith(".c")]
        for name in files:
            if name not in ("designs.c", "heap.c", "region.c"):
                self.assertGreaterEqual(sum(m.file.endswith("/" + name) for m in found), 2, name)
        for mutant in found:
            self.assertNotEqual(heaps.broken_source(mutant), "")


if __name__ == "__main__":
    unittest.main()
