"""How Sphinx turns docs/ into a book (make book). The pages are plain Markdown that reads well by itself; what only the
HTML needs, the table of contents, is put in here."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

project = "Strata"
html_title = "Strata"
copyright = "the Strata authors"  # the name that Sphinx looks for
author = "the Strata authors"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "README"
exclude_patterns: list[str] = []
language = "en"
highlight_language = "none"

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["strata.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "native"

myst_heading_anchors = 6
myst_enable_extensions: list[str] = []
suppress_warnings = ["myst.header", "misc.highlighting_failure"]

# The sidebar: a caption and its pages, in reading order. A page that stands nowhere is a warning, so an error.
PARTS = {
    "The book": ["book/README", "book/[0-9]*"],
    "The course": ["labs/README", "first-contact", "labs/[0-9]*", "labs/grading", "labs/instructor", "build-your-own"],
    "Reference": [],  # docs/README.md's own list
    "Decisions": ["decisions/*"],
}
LINK = re.compile(r"\]\(([\w./-]+)\.md[)#]")


def pages(pattern):
    found = sorted(DOCS.glob(pattern + ".md"))
    return [p.relative_to(DOCS).with_suffix("").as_posix() for p in found]


def contents(text):
    taken = {"README"}
    for caption, patterns in PARTS.items():
        names = [name for pattern in patterns for name in pages(pattern)]
        if not patterns:
            names = [name for name in LINK.findall(text) if (DOCS / (name + ".md")).is_file() and "/" not in name]
        names = [name for i, name in enumerate(names) if name not in taken and name not in names[:i]]
        taken.update(names)
        yield "```{toctree}\n:hidden:\n:caption: %s\n\n%s\n```\n" % (caption, "\n".join(names))


def outside(folder, text):
    """Links to what is not a page: a folder becomes plain text, a file of the source a download (by MyST), without anchor."""

    def replace(match):
        if re.match(r"^[a-z]+:", match[2]) or match[2].startswith("#"):
            return match[0]
        target = (folder / match[2].partition("#")[0]).resolve()
        if target.is_dir():
            return match[1]
        return match[0] if DOCS in target.parents else "[%s](%s)" % (match[1], match[2].partition("#")[0])

    parts = re.split(r"(?m)^(```.*?^```)", text, flags=re.S)
    return "".join(p if i % 2 else re.sub(r"(?<!!)\[([^\[\]]+)\]\(([^()\s]+)\)", replace, p) for i, p in enumerate(parts))


def prepare(_app, name, source):
    source[0] = outside((DOCS / name).parent, source[0])
    if name == root_doc:
        source[0] += "\n" + "\n".join(contents(source[0]))


def finish(app, exception):
    """A browser that is given the folder looks for index.html."""
    if exception is None and app.builder.name == "html":
        shutil.copyfile(Path(app.outdir, root_doc + ".html"), Path(app.outdir, "index.html"))


def setup(app):
    app.connect("source-read", prepare)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
