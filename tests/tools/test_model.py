"""tests/model/protocol/run.py: its usage, what it makes of the verifier's output, and that runs and model agree."""

import glob
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import unittest

RUN = os.path.abspath(os.path.join("tests", "model", "protocol", "run.py"))


def load():
    spec = importlib.util.spec_from_file_location("protocol_run", RUN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run = load()


def called(*options, **environment):
    done = subprocess.run([sys.executable, RUN, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          timeout=60, env={**os.environ, **environment}, universal_newlines=True)
    return done.returncode, done.stdout, done.stderr


def model_text():
    return "\n".join(open(path, encoding="utf-8").read() for path in glob.glob(os.path.join(os.path.dirname(RUN), "*.pml")))


class Usage(unittest.TestCase):
    def refused(self, word, *options):
        code, out, err = called(*options)
        self.assertEqual((code, out), (64, ""), err)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertIn(word, err)

    def test_wrong_options_get_one_line(self):
        self.refused("--frobnicate", "--frobnicate")
        self.refused("nosuch", "--only", "nosuch")
        self.refused("nothing is called", "--only", "depot,")
        self.refused("--jobs", "--jobs", "0")
        self.refused("--jobs", "--jobs", "many")

    def test_help_and_list(self):
        code, out, _ = called("--help")
        self.assertEqual(code, 0)
        for option in ("--build", "--only", "--jobs", "--cc", "--list", "--trace"):
            self.assertIn(option, out)
        code, out, _ = called("--list", "--only", "limit,two-*")
        names = [line.split()[:2] for line in out.splitlines()]
        self.assertEqual(code, 0)
        self.assertIn(["limit", "alloc-race"], names)
        self.assertIn(["claim", "two-cpus"], names)
        self.assertNotIn("mutant", [kind for kind, _ in names])

    def test_what_is_not_installed(self):
        with tempfile.TemporaryDirectory(prefix="strata-test-") as empty:
            code, _, err = called(PATH=empty)
        self.assertEqual(code, 69)
        self.assertIn("tools/deps --for model", err)


class Runs(unittest.TestCase):
    def test_names_are_unique(self):
        names = [r.name for r in run.all_runs()]
        self.assertEqual(len(names), len(set(names)))

    def test_each_mutant_of_the_model_is_run(self):
        self.assertEqual(set(re.findall(r"MUTANT_\w+", model_text())), {"MUTANT_" + row[0] for row in run.MUTANTS})

    def test_each_define_means_something_to_the_model(self):
        text = model_text()
        for each in run.all_runs():
            for define in each.defines:
                self.assertRegex(text, r"\b%s\b" % define.partition("=")[0], each.name)

    def test_the_last_value_counts(self):
        self.assertEqual(run.options(run.Run("claim", "x", "", ("A=1", "B", "A=2"))), ["-DA=2", "-DB"])


CLEAN = "State-vector 92 byte, depth reached 99, errors: 0\n   1080324 states, stored\n  920.871\ttotal actual memory usage\n"
WRONG = "pan:1: assertion violated (o!=0) (at depth 7)\nState-vector 92 byte, depth reached 9, errors: 1\n   2e+06 states, stored\n"


class Verdicts(unittest.TestCase):
    def test_a_clean_search(self):
        claim = run.judge("claim", CLEAN)
        self.assertTrue(claim.passed)
        self.assertEqual((claim.states, claim.megabytes), (1080324, 920.871))
        for kind in ("mutant", "limit"):
            self.assertEqual(run.judge(kind, CLEAN)[:2], (False, "not found"))

    def test_an_error(self):
        self.assertFalse(run.judge("claim", WRONG).passed)
        self.assertEqual(run.judge("mutant", WRONG)[:3], (True, "found: assertion violated (o!=0)", 2000000))

    def test_a_search_that_was_cut_off_proves_nothing(self):
        for line in ("error: max search depth too small\n", "Search not completed\n"):
            self.assertFalse(run.judge("claim", line + CLEAN).passed, line)

    def test_a_verifier_that_died_proves_nothing(self):
        for kind in run.KINDS:
            self.assertFalse(run.judge(kind, "").passed)


if __name__ == "__main__":
    unittest.main()
