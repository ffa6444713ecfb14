"""tools/bench: which boots a pattern means, what it reads out of a run, and that two runs are compared."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import unittest

KERNEL = os.path.join(os.environ.get("BUILD", "build"), os.environ.get("CONFIG", "debug"), "strata32.elf")


def load():
    loader = importlib.machinery.SourceFileLoader("bench", "tools/bench")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench", loader))
    loader.exec_module(module)
    return module


bench = load()


def run(*arguments):
    done = subprocess.run([sys.executable, "tools/bench", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=300)
    return done.returncode, done.stdout.decode()


def plan(only):
    return [(b[0], b[1], os.path.basename(b[4] or "")) for b in bench.plan(bench.parse(["--kernel", "tools/bench", "--only", only]))]


class Plan(unittest.TestCase):
    def test_a_pattern_chooses_the_boots(self):
        self.assertEqual(plan("kmalloc_*"), [("kmalloc_*", "512M", "")])
        self.assertEqual(plan("boot_to_memory_16G"), [("boot_*", "16G", "")])
        self.assertEqual(plan("boot_page_map_bytes_4T"), [("boot_*", "4T", "")])
        self.assertEqual(plan("trace_u-jq_per_op"), [("trace_per_op", "512M", "u-jq.trace.xz")])

    def test_all_is_all_and_no_machine_twice(self):
        boots = plan("*")
        self.assertEqual(boots[0], ("*", "512M", ""))
        self.assertEqual([b[1] for b in boots if b[0] == "boot_*"],
                         ["64M", "256M", "1G", "4G", "16G", "64G", "256G", "1T", "4T"])
        self.assertEqual(sum(b[0] == "trace_per_op" for b in boots), 12)


class Reading(unittest.TestCase):
    def test_figures_are_whole_lines(self):
        text = "# bench: noise\nkmalloc_x 12.5 instructions\r\nk y 1 instructions\nb_4T 7 cycles\nz 1 apples\n"
        self.assertEqual(bench.figures(text), {"kmalloc_x": ("12.5", "instructions"), "b_4T": ("7", "cycles")})

    def test_the_largest_difference(self):
        same, other = {"a": ("10", "i"), "b": ("4", "i")}, {"a": ("10", "i"), "b": ("5", "i")}
        self.assertEqual(bench.largest_difference((same, same)), (0.0, ""))
        self.assertEqual(bench.largest_difference((same, other))[1], "b")
        self.assertAlmostEqual(bench.largest_difference((same, other))[0], 0.2)
        self.assertEqual(bench.largest_difference((same, {"a": ("10", "i")})), (1.0, "b"))


class Running(unittest.TestCase):
    def test_two_runs_are_identical(self):
        status, out = run("--kernel", KERNEL, "--only", "kmem_cache_pair*")
        self.assertEqual(status, 0, out)
        self.assertRegex(out, r"(?m)^kmem_cache_pair_hot_256 [0-9.]+ instructions$")
        self.assertIn("largest difference of two runs 0.0000 %\n", out)

    def test_wrong_usage(self):
        for arguments in ((), ("--kernel", "no-such-file"), ("--kernel", KERNEL, "--no-such-option")):
            status, out = run(*arguments)
            self.assertEqual(status, 64, out)
        self.assertIn("required", run()[1])
        self.assertIn("no such file", run("--kernel", "no-such-file")[1])

    def test_nothing_matches(self):
        status, out = run("--kernel", KERNEL, "--only", "trace_none_per_op")
        self.assertEqual((status, out), (64, "bench: nothing matches trace_none_per_op\n"))

    def test_a_boot_that_fails(self):
        status, out = run("--kernel", KERNEL, "--only", "no_such_bench")
        self.assertEqual(status, 1, out)
        self.assertIn("nothing matches", out)


if __name__ == "__main__":
    unittest.main()
