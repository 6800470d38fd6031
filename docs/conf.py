"The pages that `make docs` builds: every chapter as it is stored, the library by module, results. Nothing is fetched."
import inspect
import json
import re
import sys
from pathlib import Path

from docutils.nodes import SkipNode
from fastcore.docments import docments
from latex2mathml.converter import convert
from pygments.lexers.special import TextLexer

sys.path.insert(0, str(Path(__file__).parent))  # Sphinx asks for `slug` by this file's name

from maskfer_nb import __version__  # noqa: E402

project, author, release = "maskfer_nb", "The maskfer_nb authors", __version__
project_copyright = "2026 onwards, The maskfer_nb authors"
root_doc = "docs/index"
include_patterns = ["docs/**", "nbs/*.ipynb", "maskfer_nb/*.md", "maskfer_nb/masked_fer/README.md", "RESULTS.md",
                    "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = [".*", "runs", "build", "docs/templates"]
templates_path = [str(Path(__file__).parent / "templates")]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.viewcode"]
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "gfm"  # an output's tables are GitHub's
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_heading_slug_func = "conf.slug"
autodoc_typehints = "none"  # they stand in the source, one click away; here it is said what they mean
autodoc_member_order = "bysource"
html_theme, html_title = "furo", "maskfer_nb"
html_static_path, html_css_files = ["static"], ["pages.css"]
html_additional_pages = {"index": "first.html"}
html_math_renderer = "mathml"


def slug(title: str) -> str:
    "A heading's anchor, as JupyterLab makes it."
    return title.replace(" ", "-")


def without_directives(app, name: str, source: list):
    "Leaves out of a notebook the lines that speak to nbdev, and of the first page all code, as README.md does."
    if not (Path(app.srcdir) / f"{name}.ipynb").exists(): return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code": continue
        cell["source"] = re.sub(r"(?m)^#\| *\w.*\n?", "", "".join(cell["source"]))
        if name == "nbs/index": cell["metadata"]["tags"] = ["remove-input"]
    source[0] = json.dumps(notebook)


def with_parameters(app, what: str, name: str, documented, options, lines: list):
    "Adds to a docstring what the comments beside parameters and fields say."
    if what == "attribute" and lines and lines[0].startswith("Alias for field"):
        module, owner, field = name.rsplit(".", 2)
        comment = re.search(rf"(?m)^    {field}: .*?# (.*)$", inspect.getsource(getattr(sys.modules[module], owner)))
        lines[:] = [comment[1]] if comment else []
    if what not in ("function", "method"): return
    said = {parameter: found["docment"] for parameter, found in docments(documented, full=True).items()}
    fields = [f":{'returns' if parameter == 'return' else f'param {parameter}'}: {' '.join(text.split())}"
              for parameter, text in said.items() if text]
    lines += ["", *fields]


def as_mathml(translator, node):
    "A formula as browsers draw it themselves."
    translator.body.append(convert(node.astext(), display="block" if node.tagname == "math_block" else "inline"))
    raise SkipNode


def setup(app):
    app.connect("source-read", without_directives)
    app.connect("autodoc-process-docstring", with_parameters)
    app.add_html_math_renderer("mathml", (as_mathml, None), (as_mathml, None))
    app.add_lexer("mermaid", TextLexer)  # JupyterLab draws these; a page would have to fetch a program
