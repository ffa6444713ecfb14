"""docs/examples/*.patch, the worked examples of docs/build-your-own.md: each applies to the source as it is, and what it
touches compiles without a warning."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATCHES = sorted((ROOT / "docs" / "examples").glob("*.patch"))
PARTS = ["Makefile", "boot", "kernel", "lib", "linker.ld", "mm", "tests", "tools"]


class Examples(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="strata-example-")
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for part in PARTS:
            if (ROOT / part).is_dir():
                ignore = shutil.ignore_patterns("data", "__pycache__", "tools" if part == "tests" else ".git")
                shutil.copytree(ROOT / part, self.root / part, ignore=ignore)
            else:
                shutil.copy2(ROOT / part, self.root / part)

    def run_in(self, *command):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "GIT_"))}
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def try_patch(self, patch):
        self.run_in("git", "apply", str(patch))
        touched = re.findall(r"^\+\+\+ b/(\S+\.c)$", patch.read_text(encoding="utf-8"), re.M)
        self.assertTrue(touched)
        objects = [str(self.root / "build" / "debug" / (name + ".o")) for name in touched]
        self.run_in("make", "--no-print-directory", "BUILD=%s" % (self.root / "build"), "CONFIG=debug", "WERROR=1", *objects)

    def test_driver(self):
        self.try_patch(ROOT / "docs" / "examples" / "driver.patch")

    def test_scheduler(self):
        self.try_patch(ROOT / "docs" / "examples" / "scheduler.patch")

    def test_syscall(self):
        self.try_patch(ROOT / "docs" / "examples" / "syscall.patch")

    def test_there_is_a_test_of_each(self):
        self.assertEqual({p.stem for p in PATCHES}, {"driver", "scheduler", "syscall"})


if __name__ == "__main__":
    unittest.main()
