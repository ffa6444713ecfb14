"""tools/misuse-table: rows out of logs, problems named, the page changed between its marks only."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "misuse-table"

ROW = "# misuse: {0} | 1 | at the free | kfree: bad object=%p pfn=%#lx | nothing\n"
HOST = ROW.format("kfree() twice") + "ok 1 misuse.twice\nok 2 legal.silent\n"
KERNEL = HOST + ROW.format("write to code") + "ok 3 misuse.code\n"
PAGE = "before\n<!-- begin: make misuse -->\nold\n<!-- end: make misuse -->\nafter\n"


class MisuseTable(unittest.TestCase):
    def run_tool(self, host=HOST, kernel=KERNEL, page=PAGE, *options):
        with tempfile.TemporaryDirectory() as folder:
            files = {name: Path(folder, name) for name in ("host", "kernel", "page")}
            for name, text in (("host", host), ("kernel", kernel), ("page", page)):
                files[name].write_text(text, encoding="utf-8")
            command = [sys.executable, str(TOOL)]
            for name, path in files.items():
                command += [f"--{name}", str(path)]
            result = subprocess.run(command + list(options), capture_output=True, text=True, check=False)
            return result, files["page"].read_text(encoding="utf-8")

    def test_makes_a_row_of_each_bug_and_keeps_the_rest_of_the_page(self):
        result, page = self.run_tool()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(page.startswith("before\n") and page.endswith("after\n"))
        self.assertNotIn("old", page)
        self.assertIn("| kfree() twice | 1 | at the free | `kfree: bad object=… pfn=…` | host, kernel | nothing |", page)
        self.assertIn("| write to code | 1 |", page)
        self.assertIn("2 planted bugs, all caught; 1 legal programs, all silent.", page)
        self.assertEqual(result.stdout, "3 passed, 0 failed\n")

    def test_a_bug_that_was_not_caught_changes_nothing(self):
        result, page = self.run_tool(KERNEL.replace("ok 3", "not ok 3"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("host: misuse.code was not caught", result.stderr)
        self.assertEqual(page, PAGE)

    def test_what_the_sanitizers_catch_comes_behind(self):
        with tempfile.TemporaryDirectory() as folder:
            kasan = Path(folder, "kasan")
            kasan.write_text(KERNEL + ROW.format("read behind it") + "ok 4 misuse.kasan_read\n", encoding="utf-8")
            result, page = self.run_tool(HOST, KERNEL, PAGE, "--kasan", str(kasan))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("| host, kernel, kasan | nothing |", page)
            self.assertIn("| kasan | nothing |\n\n3 planted bugs", page)
            kasan.write_text(KERNEL.replace("at the free", "later"), encoding="utf-8")
            result, page = self.run_tool(HOST, KERNEL, PAGE, "--kasan", str(kasan))
            self.assertIn("misuse.code: kernel and kasan expect different lines", result.stderr)
            self.assertEqual(page, PAGE)

    def test_skipped_bugs_make_no_row(self):
        result, page = self.run_tool(kernel=HOST + "ok 3 misuse.code # SKIP no tier\n")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("write to code", page)

    def test_contradictions_and_missing_descriptions_are_named(self):
        other = HOST.replace("at the free", "later")
        self.assertIn("misuse.twice: host and kernel expect different lines", self.run_tool(other)[0].stderr)
        self.assertIn("misuse.twice does not describe itself", self.run_tool("ok 1 misuse.twice\n")[0].stderr)
        self.assertIn("host: no bug was planted", self.run_tool("1..0\n")[0].stderr)

    def test_check_says_whether_the_page_is_up_to_date(self):
        result, page = self.run_tool(HOST, KERNEL, PAGE, "--check")
        self.assertEqual(result.returncode, 1)
        self.assertIn("out of date; run make misuse", result.stderr)
        self.assertEqual(page, PAGE)
        _, written = self.run_tool()
        self.assertEqual(self.run_tool(HOST, KERNEL, written, "--check")[0].returncode, 0)

    def test_wrong_usage(self):
        self.assertEqual(self.run_tool(HOST, KERNEL, "no marks")[0].returncode, 64)
        self.assertEqual(self.run_tool(HOST, KERNEL, PAGE, "--wrong")[0].returncode, 64)
        missing = subprocess.run(
            [sys.executable, str(TOOL), "--host", "/none", "--kernel", "/none", "--page", "/none"],
            capture_output=True, text=True, check=False,
        )
        self.assertEqual(missing.returncode, 64)
        self.assertEqual(len(missing.stderr.splitlines()), 1)
        self.assertIn("usage", subprocess.run([sys.executable, str(TOOL), "--help"], capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    unittest.main()
