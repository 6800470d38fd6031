"The house: arrows run down, numbers decide nothing, lines are short, and the paper is where it is looked for."
import ast
import json
import re
from pathlib import Path

import pytest

from maskfer_nb.files import as_python, imported

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
MODULES = sorted(path for path in (ROOT / "maskfer_nb").glob("*.py") if not path.stem.startswith("_"))
PAPER = ["01_datasets", "02_mcn", "03_fecn", "04_evaluation"]
COLUMNS, CELL, CHAPTER = 120, 40, 400  # columns a line, lines a code cell, lines of code a chapter of the paper

# From the ground up; a module imports from layers below its own alone.
LAYERS = [
    ["files", "pictures"],
    ["head", "layouts"],
    ["detector", "fabrics", "networks", "paint", "sources", "video"],
    ["creases", "landmarks", "masks", "mcn", "runs", "worn"],
    ["covers", "datasets", "faces", "fecn", "masking", "predictor", "regions", "statistics", "training"],
    ["attention", "evaluation", "export", "face_set", "polarity", "pretraining", "shards", "train"],
    ["report", "study"],
    ["chain", "command"],
]


def cells(notebook, kind="code"):
    "The sources of a notebook's cells."
    content = json.loads(notebook.read_text())
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == kind]


def tree_of(cell):
    "The syntax tree of a code cell."
    return ast.parse(as_python(cell))


def chapter(name):
    return ROOT / f"nbs/{name}.ipynb"


@pytest.mark.parametrize("code, names", [
    ("from maskfer_nb import a, b", {"a", "b"}), ("from . import a", {"a"}), ("from .a import b", {"a"}),
    ("def f():\n    from maskfer_nb.a import b", {"a"}), ("import maskfer_nb.a", {"a"}),
    ("from pathlib import Path", set())])
def test_imports_are_found(code, names):
    assert imported(code) == names


def test_every_module_has_a_layer():
    assert sorted(name for layer in LAYERS for name in layer) == [path.stem for path in MODULES]


def test_every_module_has_its_page():
    pages = re.findall(r"(?m)^   maskfer_nb\.(\w+)$", (ROOT / "docs/api.md").read_text())
    assert pages == [path.stem for path in MODULES]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_arrows_run_down(module):
    floor = next(number for number, layer in enumerate(LAYERS) if module.stem in layer)
    below = {name for layer in LAYERS[:floor] for name in layer}
    upwards = imported(module.read_text()) - below
    assert not upwards, f"{module.stem} imports {', '.join(sorted(upwards))}, which is not below it"


def test_the_chain_is_called_by_the_snakefile_alone():
    users = [path.name for path in MODULES if "chain" in imported(path.read_text())]
    users += [path.name for path in NOTEBOOKS if any("chain" in imported(as_python(cell)) for cell in cells(path))]
    assert set(users) <= {"91_chain.ipynb"}, users
    assert "maskfer_nb.chain" in (ROOT / "Snakefile").read_text()


def patterns(tree):
    "Texts that a program matches names of files against."
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith(("glob", "fnmatch")): continue
        for part in [part for argument in node.args for part in ast.walk(argument)]:
            if isinstance(part, ast.Constant) and isinstance(part.value, str): yield part.value


def hangs_on_a_number(pattern):
    "Whether a pattern chooses notebooks, or what they leave, by the digits their names begin with."
    return bool(re.match(r"(\*\*/)?(nbs/)?(\[\d|\d+\*|\[0-9|\d\?)", pattern))


def test_patterns_by_numbers_are_known():
    assert all(map(hangs_on_a_number, ["[01]*.json", "nbs/[0-9]*.ipynb", "0*.ipynb", "**/[01]*.ipynb", "0?_*.ipynb"]))
    assert not any(map(hangs_on_a_number, ["seed*/01_datasets.json", "*.ipynb", "seed[0-9]*", "metadata-*.csv"]))
    assert list(patterns(ast.parse("sorted(run.glob('[01]*.json'))"))) == ["[01]*.json"]


def test_nothing_hangs_on_a_notebooks_number():
    code = {path.name: ast.parse(path.read_text()) for path in MODULES}
    code |= {f"{path.name} [{n}]": tree_of(cell) for path in NOTEBOOKS for n, cell in enumerate(cells(path))}
    found = [(name, pattern) for name, tree in code.items() for pattern in patterns(tree) if hangs_on_a_number(pattern)]
    for name in ("Snakefile", "study.smk", "Makefile"):  # no Python that `ast` reads
        found += [(name, text) for text in re.findall(r"[\w/]*\[0[0-9-]*\]\*[\w.]*", (ROOT / name).read_text())]
    assert not found, found


def long_lines(text):
    return [f"{number}: {line[:80]}…" for number, line in enumerate(text.split("\n"), 1) if len(line) > COLUMNS]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_and_their_lines_are_short(notebook):
    code = cells(notebook)
    assert not (found := [line for cell in code for line in long_lines(cell)]), "\n".join(found)
    long = [f"{len(lines)} lines: {lines[0]} {lines[1]}" for cell in code if len(lines := cell.split("\n")) > CELL]
    assert not long, "\n".join(long)


def test_other_lines_are_short():
    files = [ROOT / name for name in ("Snakefile", "study.smk", "setup.py")]
    for folder in ("tests", "benchmarks"): files += sorted((ROOT / folder).rglob("*.py"))
    assert len(files) > 25
    found = [f"{path.relative_to(ROOT)}:{line}" for path in files for line in long_lines(path.read_text())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", PAPER)
def test_a_chapter_of_the_paper_can_be_read_in_a_sitting(name):
    lines = sum(len(cell.split("\n")) for cell in cells(chapter(name)))
    assert lines <= CHAPTER, f"{lines} lines of code"


def exported(name):
    "What a chapter defines and exports: functions and classes by name."
    trees = [tree_of(cell) for cell in cells(chapter(name)) if re.search(r"^#\| *export", cell, re.M)]
    nodes = [node for tree in trees for node in tree.body]
    return {node.name: node for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def test_the_papers_classes_are_in_the_papers_chapters():
    mcn, fecn = exported("02_mcn"), exported("03_fecn")
    assert {"MCN", "ABN", "loss"} <= mcn.keys() and {"FECN", "OneExtractor"} <= fecn.keys()
    methods = lambda node: {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
    assert "cut" in methods(mcn["MCN"]) and "from_mcn" in methods(fecn["FECN"])


@pytest.mark.parametrize("name", PAPER)
def test_a_chapter_of_the_paper_draws_and_ends_with_what_to_change(name):
    content = json.loads(chapter(name).read_text())
    prose = "\n".join(cells(chapter(name), "markdown"))
    outputs = [output for cell in content["cells"] for output in cell.get("outputs", [])]
    assert "```mermaid" in prose or any("image/png" in output.get("data", {}) for output in outputs)
    assert re.findall("^#+ .*", prose, re.M)[-1] == "## What to change"


@pytest.mark.parametrize("name, number", [("02_mcn", 1), ("03_fecn", 2)])
def test_the_papers_equations_are_written_out(name, number):
    equations = re.findall(r"\$\$(.+?)\$\$", "\n".join(cells(chapter(name), "markdown")), re.S)
    assert any(rf"\tag{{{number}}}" in equation for equation in equations)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere(notebook):
    "To files of the repository; addresses on the web are not asked."
    prose = re.sub(r"```.*?```|`[^`]*`", "", "\n".join(cells(notebook, "markdown")), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)|<img[^>]*src=\"([^\"]+)\"", prose):
        target = "".join(target).partition("#")[0]
        if not target or re.match("[a-z]+:", target): continue
        assert (notebook.parent / target).exists(), f"{target} is not there"


def undocumented(tree):
    "Public functions and classes without a docstring."
    for node in tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith("_"): continue
        if not ast.get_docstring(node): yield node.name


def test_what_has_no_docstring_is_known():
    tree = ast.parse("def f(): pass\nclass A:\n    'One.'\ndef _g(): pass\nclass B: pass")
    assert list(undocumented(tree)) == ["f", "B"]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_what_is_public_has_a_docstring(module):
    assert not list(undocumented(ast.parse(module.read_text())))


def private_of_the_hub(tree):
    "Private names that a program takes from huggingface_hub or its mixin."
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "huggingface_hub":
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
            yield from (name for name in names if name.startswith("_"))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_hub_mixin"): yield node.attr
        if isinstance(node, ast.Constant) and str(node.value).startswith("_hub_mixin"): yield node.value


@pytest.mark.parametrize("code", [
    "self._hub_mixin_config = {}", "getattr(a, '_hub_mixin_config')", "from huggingface_hub._save import save"])
def test_reaches_into_the_hub_are_known(code):
    assert list(private_of_the_hub(ast.parse(code)))


def test_the_hubs_private_attributes_are_left_alone():
    found = {path.stem: list(private_of_the_hub(ast.parse(path.read_text()))) for path in MODULES}
    assert not any(found.values()), found
