"""tests/bench/host: what the drivers make of the programs' figures, against known ones; the programs themselves; usage."""

import importlib.util
import io
import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout

FRAGMENTATION = os.path.abspath(os.path.join("tests", "bench", "host", "fragmentation.py"))
DRIVER = os.path.abspath(os.path.join("tests", "bench", "host", "bench_host.py"))


def load():
    spec = importlib.util.spec_from_file_location("bench_host", DRIVER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bench = load()

# Prints the same figures for every workload: those of its name in the folder, a line for each run.
PROGRAM = """#!/bin/sh
here=$(dirname "$0"); me=$(basename "$0")${LD_PRELOAD:+-$(basename "$LD_PRELOAD")}
echo "$me $*" >> "$here/log"
cat "$here/$me.figures"
"""


def has_matplotlib():
    pythons = [sys.executable, "/usr/bin/python3"]
    return any(os.path.exists(p) and subprocess.run([p, "-c", "import matplotlib"], stderr=subprocess.DEVNULL,
                                                    check=False).returncode == 0 for p in pythons)


class Driver(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        for name in ("none", "strata", "malloc"):
            self.write("bench-" + name, PROGRAM, 0o755)
        self.write("lib.so", "not a library: the loader says so and goes on")
        for name in ("none", "strata", "malloc", "malloc-lib.so"):
            self.figures(name, "pair 10")
        bench.LIBRARIES.clear()
        bench.LIBRARIES["mimalloc"] = "lib.so"
        bench.FOLDERS[:] = [self.folder.name]

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(path, stat.S_IMODE(mode))

    def figures(self, name, text):
        self.write("bench-%s.figures" % name, text + "\n")

    def run_driver(self, *options):
        """(status, output, error)"""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = bench.main(["--bin", self.folder.name, "--no-count", *options])
        return status, out.getvalue(), err.getvalue()

    def test_ratio_and_a_goal_met(self):
        self.figures("strata", "pair 4")
        status, out, _ = self.run_driver("--only", "hot_64")
        self.assertEqual(status, 0)
        self.assertIn("| `hot_64 pair` | 10.0 | 4.00 | 10.0 | 10.0 | 0.40 | 0.80 x mimalloc: met, 0.40 |", out)
        self.assertIn("Goals: 1 met, 0 missed", out)

    def test_a_goal_missed(self):
        self.figures("strata", "pair 9")
        self.assertIn("0.80 x mimalloc: **missed**, 0.90", self.run_driver("--only", "hot_64")[1])

    def test_scaling_has_a_least_value(self):
        self.figures("strata", "scaling 1.95\nscaling_cpu 1.99")
        out = self.run_driver("--only", "threads_scaling")[1]
        self.assertIn("at least 1.90: met, 1.95", out)
        self.assertIn("Goals: 4 met, 0 missed", out)
        self.figures("strata", "scaling 1.85\nscaling_cpu 1.99")
        self.assertIn("at least 1.90: **missed**, 1.85", self.run_driver("--only", "threads_scaling")[1])

    def test_a_footprint_is_compared_with_live_bytes(self):
        self.figures("strata", "live_bytes 1000\nfootprint 1.3")
        out = self.run_driver("--only", "mix_footprint")[1]
        self.assertIn("1.12: **missed**, 1.30", out)
        self.assertNotIn("live_bytes", out)

    def test_a_batch_is_judged_by_both_halves(self):
        for name in ("none", "malloc", "malloc-lib.so"):
            self.figures(name, "alloc 10\nfree 10")
        self.figures("strata", "alloc 15\nfree 4")
        out = self.run_driver("--only", "batch_256")[1]
        self.assertIn("| `batch_256 random pair` | 20.0 | 19.0 | 20.0 | 20.0 | 0.95 | 1.00 x mimalloc: met, 0.95 |", out)

    def test_sweeps_have_no_goals(self):
        out = self.run_driver("--only", "hot_runtime")[1]
        self.assertIn("`hot_runtime 8 pair`", out)
        self.assertIn("Goals: 0 met, 1 missed", out)

    def test_allocators_alternate_inside_each_repetition(self):
        self.run_driver("--only", "hot_64", "--repetitions", "2")
        with open(os.path.join(self.folder.name, "log"), encoding="utf-8") as log:
            names = [line.split()[0] for line in log]
        self.assertEqual(names, ["bench-none", "bench-strata", "bench-malloc-lib.so", "bench-malloc"] * 2)

    def test_a_ratio_is_the_median_of_the_repetitions_ratios(self):
        figure = {"values": {"strata": [1, 10, 30], "mimalloc": [1, 20, 10]}}
        self.assertEqual(bench.ratio(figure), 1)

    def test_all_values_are_kept(self):
        out = os.path.join(self.folder.name, "out.json")
        self.run_driver("--only", "hot_64", "--repetitions", "3", "--out", out)
        with open(out, encoding="utf-8") as text:
            figure = json.load(text)["figures"][0]
        self.assertEqual((figure["work"], figure["metric"], figure["unit"]), ("hot_64", "pair", "ns"))
        self.assertEqual(figure["values"]["strata"], [10, 10, 10])

    def test_a_program_that_fails_ends_the_run_with_its_line(self):
        self.write("bench-strata", "#!/bin/sh\necho PANIC: slab: double free >&2\nexit 37\n", 0o755)
        status, _, err = self.run_driver("--only", "hot_64")
        self.assertEqual(status, 1)
        self.assertEqual(err, "bench-host: --blocks 31 hot_64 on strata ended with 37: PANIC: slab: double free\n")

    def test_a_functions_own_instructions_are_told_from_its_callees(self):
        dump = ["fl=(1) a.c", "fn=(1) work", "10 5", "+1 7", "cfn=(2) kmalloc", "calls=3 20", "+1 900", "fn=(2)", "20 400",
                "fn=(1)", "* 1"]
        self.assertEqual(bench.functions_of(line + "\n" for line in dump), {"work": 13, "kmalloc": 400})

    def test_wrong_usage(self):
        for options, part in ((["--bogus"], "unrecognized"), (["--only", "nothing"], "no workload matches"),
                              (["--repetitions", "0"], "at least 1"), (["--trace", "nowhere"], "no trace nowhere"),
                              (["--allocator", "x=/nowhere"], "NAME=LIBRARY")):
            status, _, err = self.run_driver(*options)
            self.assertEqual((status, err.count("\n")), (64, 1), options)
            self.assertIn(part, err)

    def test_what_is_not_installed_or_built_is_named(self):
        bench.LIBRARIES["other"] = "libother.so"
        self.assertEqual(self.run_driver()[0::2],
                         (69, "bench-host: libother.so is not installed (tools/deps --for bench-host)\n"))
        os.remove(os.path.join(self.folder.name, "bench-none"))
        status, _, err = self.run_driver()
        self.assertEqual(status, 69)
        self.assertIn("make bench-host builds it", err)

    def test_help(self):
        done = subprocess.run([sys.executable, DRIVER, "--help"], stdout=subprocess.PIPE, check=True)
        self.assertIn(b"--repetitions", done.stdout)


class Plots(unittest.TestCase):
    def run_plots(self, *options):
        done = subprocess.run([sys.executable, os.path.join("tools", "plot-benchmarks"), *options], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_help_and_wrong_usage(self):
        self.assertEqual(self.run_plots("--help")[0], 0)
        self.assertEqual(self.run_plots("--bogus")[0], 64)

    @unittest.skipUnless(has_matplotlib(), "matplotlib is not installed (tools/deps --for plots)")
    def test_draws_what_there_is(self):
        with tempfile.TemporaryDirectory() as folder:
            guest, out = os.path.join(folder, "bench.txt"), os.path.join(folder, "img")
            with open(guest, "w", encoding="utf-8") as text:
                text.write("boot_to_memory_64M 300000 instructions\nboot_to_memory_4T 2000000 instructions\n")
            arguments = ["--guest", guest, "--host", "nowhere", "--fragmentation", "nowhere", "--out", out]
            status, text, _ = self.run_plots(*arguments)
            self.assertEqual((status, os.listdir(out)), (0, ["bench-memory.svg"]))
            self.assertIn("left fragmentation.svg as it is: no figures in nowhere", text)
            with open(os.path.join(out, "bench-memory.svg"), encoding="utf-8") as svg:
                first = svg.read()
            self.assertIn("4 TiB", first)
            self.run_plots(*arguments)
            with open(os.path.join(out, "bench-memory.svg"), encoding="utf-8") as svg:
                self.assertEqual(svg.read(), first)
            with open(guest, "w", encoding="utf-8"):
                pass
            self.assertEqual(self.run_plots(*arguments)[0], 64)


class Fragmentation(unittest.TestCase):
    def run_driver(self, *options):
        done = subprocess.run([sys.executable, FRAGMENTATION, "--bin", BIN, *options], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_churn_lifo_stays_and_lowest_recovers(self):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "out.json")
            status, text, _ = self.run_driver("--experiment", "churn", "--memory", "128", "--out", out)
            with open(out, encoding="utf-8") as figures:
                curves = json.load(figures)["churn"]
        self.assertEqual(status, 0)
        self.assertIn("| after round | 0 | 10 | 30 | 50 | 70 | 100 |", text)
        self.assertEqual({len(curve) for curve in curves.values()}, {101})
        self.assertAlmostEqual(curves["lifo"][0], 0.18, delta=0.02)
        self.assertEqual(curves["lifo"][0], curves["lifo"][100])
        self.assertGreater(curves["lowest"][100], 0.9)
        self.assertGreater(curves["fullest"][100], 0.9)

    def test_replay_of_a_few_pages(self):
        with tempfile.TemporaryDirectory() as folder:
            trace = os.path.join(folder, "two.trace")
            with open(trace, "w", encoding="ascii") as out:
                out.write("# trace 1\n# origin: a test\n# ops: 3  ids: 2  peak-live-bytes: 2101248\n"
                          "p 0 9\np 1 0\nf 0\n")
            status, text, _ = self.run_driver("--experiment", "replay", "--trace", trace)
        self.assertEqual(status, 0)
        rows = [line.split("|") for line in text.splitlines() if line.startswith("| lifo")]
        peak, _, end = ([int(cell) for cell in row[3:11]] for row in rows)
        self.assertEqual(end[0] - peak[0], 512)    # pages
        self.assertEqual(end[4] - peak[4], 1)      # blocks of order 9

    def test_wrong_usage(self):
        for options in (["--bogus"], ["--memory", "3"], ["--experiment", "none"], ["--trace", "nowhere"],
                        ["--experiment", "replay", "--trace", "tests/fuzz/seeds/trace/every-kind"]):
            status, _, err = self.run_driver(*options)
            self.assertEqual((status, err.count("\n")), (64, 1), (options, err))


BIN = os.path.join(os.environ.get("BUILD", "build"), "host", "bench")


class Program(unittest.TestCase):
    """The programs themselves, on the two subjects that every machine has."""

    def run_program(self, name, *arguments):
        done = subprocess.run([os.path.join(BIN, "bench-" + name), *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_every_workload_runs_and_prints_figures(self):
        works = [("hot_16",), ("hot_runtime", "100"), ("hot_mixed",), ("hot_page",), ("batch_256", "random"),
                 ("batch_page", "reverse"), ("mix", "1000"), ("mix_footprint", "1000"), ("threads_hot",),
                 ("threads_scaling",), ("threads_scaling", "page"), ("producer_consumer",),
                 ("replay", "tests/fuzz/seeds/trace/every-kind")]
        for subject in ("strata", "malloc", "none"):
            for work in works:
                status, out, err = self.run_program(subject, "--blocks", "1", *work)
                self.assertEqual((status, err), (0, ""), (subject, work))
                for line in out.splitlines():
                    self.assertGreaterEqual(float(line.split()[1]), 0)
                self.assertTrue(out)

    def test_wrong_usage_is_one_line(self):
        for arguments in ((), ("nothing",), ("--blocks", "0", "mix"), ("mix", "0"), ("batch_256", "sideways"),
                          ("replay", "nowhere"), ("replay", "tests/fuzz/seeds/trace/wrong"), ("hot_runtime",),
                          ("threads_scaling", "17")):
            status, _, err = self.run_program("strata", *arguments)
            self.assertEqual((status, err.count("\n")), (64, 1), (arguments, err))


if __name__ == "__main__":
    unittest.main()
