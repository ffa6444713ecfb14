"""build/host/machines: the memory manager on machines of every size and shape."""

import os
import subprocess
import unittest

PROGRAM = os.path.join(os.environ.get("BUILD", "build"), "host", "machines")


class Machines(unittest.TestCase):
    def test_all_machines_pass(self):
        result = subprocess.run([PROGRAM], capture_output=True, text=True, timeout=120)
        lines = result.stdout.splitlines()
        bad = [line for line in lines if not line.startswith("ok ")][:-1]
        self.assertEqual(result.stderr, "")
        self.assertEqual(bad, [])
        self.assertEqual(lines[-1:], ["%d passed, 0 failed" % (len(lines) - 1)])
        self.assertGreater(len(lines), 10)
        self.assertEqual(result.returncode, 0)

    def test_options_are_refused(self):
        result = subprocess.run([PROGRAM, "--fast"], capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 2)
        self.assertIn("usage:", result.stderr)


if __name__ == "__main__":
    unittest.main()
