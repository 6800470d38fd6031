"The pages that `make docs` builds: every chapter as it is stored, the library by module, results. Nothing is fetched."
import base64
import inspect
import json
import re
import sys
from pathlib import Path

import mermaidx
from docutils.nodes import SkipNode
from fastcore.docments import docments
from latex2mathml.converter import convert
from sphinx.ext import autosummary

sys.path.insert(0, str(Path(__file__).parent))  # Sphinx asks for `slug` by this file's name

from maskfer_nb import __version__  # noqa: E402

project, author, release = "maskfer_nb", "The maskfer_nb authors", __version__
project_copyright = "2026 onwards, The maskfer_nb authors"
root_doc = "nbs/index"  # README.md
include_patterns = ["docs/**", "nbs/*.ipynb", "maskfer_nb/*.md", "maskfer_nb/masked_fer/README.md", "RESULTS.md",
                    "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = [".*", "runs", "build", "docs/templates", "docs/contents.md"]
templates_path = [str(Path(__file__).parent / "templates")]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.viewcode"]
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "gfm"  # an output's tables are GitHub's
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_heading_slug_func = "conf.slug"
autodoc_inherit_docstrings = False
python_maximum_signature_line_length = 88
autosummary.WELL_KNOWN_ABBREVIATIONS += ("Eq.",)
autodoc_member_order = "bysource"
html_theme, html_title = "furo", "maskfer_nb"
html_static_path, html_css_files = ["static"], ["pages.css"]
html_additional_pages = {"index": "first.html"}
html_math_renderer = "mathml"


def slug(title: str) -> str:
    "A heading's anchor, as JupyterLab makes it."
    return title.replace(" ", "-")


def drawn(diagram: re.Match) -> str:
    "A Mermaid flowchart as a picture; JupyterLab draws it by itself."
    picture = base64.b64encode(mermaidx.render(diagram[1]).svg().encode()).decode()
    return f'<div class="diagram"><img alt="a flowchart" src="data:image/svg+xml;base64,{picture}"></div>'


def as_page(app, name: str, source: list):
    """A notebook without the lines that speak to nbdev, its flowcharts drawn, and links in its outputs to pages.

    The first page shows no code, as README.md does not, and holds the contents of all."""
    if not (Path(app.srcdir) / f"{name}.ipynb").exists(): return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code": cell["source"] = re.sub(r"(?m)^#\| *\w.*\n?", "", text)
        else: cell["source"] = re.sub(r"(?s)```mermaid\n(.*?)```", drawn, text)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/markdown" in data:
                text = "".join(data["text/markdown"])
                data["text/markdown"] = re.sub(r"\]\(((?!\w+:)[^)#\s]+)\.(?:ipynb|md)\b", r"](\1.html", text)
        if name == root_doc: cell["metadata"]["tags"] = ["remove-input"]
    if name == root_doc:
        contents = (Path(__file__).parent / "contents.md").read_text(encoding="utf-8")
        notebook["cells"].append(dict(cell_type="markdown", id="contents", metadata={}, source=contents))
    source[0] = json.dumps(notebook)


def with_parameters(app, what: str, name: str, documented, options, lines: list):
    "Adds to a docstring what the comments beside parameters and fields say, and to a module's its chapter."
    if what == "module":
        chapter = re.search(r"File to edit: \.\./(nbs/\w+)\.ipynb", inspect.getsource(documented))
        if chapter: lines += ["", f"Shown at work in :doc:`/{chapter[1]}`."]
    if what == "attribute" and lines and lines[0].startswith("Alias for field"):
        module, owner, field = name.rsplit(".", 2)
        comment = re.search(rf"(?m)^    {field}: .*?# (.*)$", inspect.getsource(getattr(sys.modules[module], owner)))
        lines[:] = [comment[1]] if comment else []
    if what not in ("function", "method"): return
    said = {parameter: found["docment"] for parameter, found in docments(documented, full=True).items()}
    fields = [f":{'returns' if parameter == 'return' else f'param {parameter}'}: {' '.join(text.split())}"
              for parameter, text in said.items() if text]
    lines += ["", *fields]


def with_options(app, what: str, name: str, documented, options, signature: str, returned: str):
    "A network's own parameters, which Hugging Face's class hides."
    if what != "class" or signature != "(*args, **kwargs)": return
    own = inspect.signature(documented.__init__)
    return str(own.replace(parameters=list(own.parameters.values())[1:])), None


def as_mathml(translator, node):
    "A formula as browsers draw it themselves."
    formula = re.sub(r"\\tag\{(\d+)\}", r"\\qquad (\1)", node.astext())
    translator.body.append(convert(formula, display="block" if node.tagname == "math_block" else "inline"))
    raise SkipNode


def setup(app):
    app.connect("source-read", as_page)
    app.connect("autodoc-process-docstring", with_parameters)
    app.connect("autodoc-process-signature", with_options)
    app.add_html_math_renderer("mathml", (as_mathml, None), (as_mathml, None))
