"""tools/book/conf.py, without Sphinx: every page stands in the sidebar once, and links out of docs/ become what HTML can
follow. (Sphinx itself runs in `make book`, where every warning is an error.)"""

import importlib.util
import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("book_conf", ROOT / "tools" / "book" / "conf.py")
conf = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(conf)


class Book(unittest.TestCase):
    def test_every_page_stands_in_the_sidebar_once(self):
        index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
        listed = []
        for block in conf.contents(index):
            body = re.search(r":caption: [^\n]+\n\n(.*)\n```", block, re.S)[1]
            listed += body.split()
        there = {p.relative_to(ROOT / "docs").with_suffix("").as_posix() for p in (ROOT / "docs").rglob("*.md")}
        self.assertEqual(len(listed), len(set(listed)))
        self.assertEqual(there - {"README"}, set(listed), "a page of the reference goes into docs/README.md")

    def test_links_to_the_source_lose_their_anchor_and_links_to_folders_go(self):
        text = "[a](../mm/buddy.c#L3) [b](../mm) [c](memmap.md#afterwards) [d](#here) [e](https://example.org/#x) [f](img)"
        self.assertEqual(conf.outside(ROOT / "docs", text),
                         "[a](../mm/buddy.c) b [c](memmap.md#afterwards) [d](#here) [e](https://example.org/#x) f")

    def test_code_and_pictures_stay(self):
        text = "```\n[a](../mm)\n```\n![b](img/view.png)\n"
        self.assertEqual(conf.outside(ROOT / "docs", text), text)


if __name__ == "__main__":
    unittest.main()
