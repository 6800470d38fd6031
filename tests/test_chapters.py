"Every chapter, run again from its first cell to its last, says what is stored in it; a cell that fails fails its test."
import difflib
import os
import re
from unittest.mock import patch

import nbformat
import pytest
from chapters import ROOT, is_run, processes, run_again, store

NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
AT_ONCE = 2
# Of rendered faces and sums of floats: processors do not agree to the last digit.
RELATIVE, ABSOLUTE = 0.02, 0.02
NUMBER = re.compile(r"[-+−]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
OF_THE_MACHINE = re.compile(r"\d\s?(?:m|µ)?s\b|/s\b|seconds?\b|minutes?\b|threads?\b|\b[CG]PU|\bcuda\b|device", re.I)


def said(output):
    "The text of an output; none for what is said beside the results, and for the mere name of an object."
    if output.output_type == "stream": return output.text if output.name == "stdout" else ""
    data = output.get("data", {})
    text = data.get("text/markdown") or data.get("text/plain", "")
    if not re.fullmatch(r"<.*>", text, re.S): return text
    return re.sub(r"<style.*?</style>|<[^>]*>", " ", data.get("text/html", ""), flags=re.S)


def lines_of(cell):
    "What a cell says, line by line but for those that speak of the machine; and a line for each of its pictures."
    # A stream comes in as many outputs as the kernel needed messages for it; only a result has lines of its own.
    text = "".join(said(output) if output.output_type == "stream" else f"\n{said(output)}\n" for output in cell.outputs)
    lines = [" ".join(line.split()) for line in text.split("\n") if not OF_THE_MACHINE.search(line)]
    pictures = [kind for output in cell.outputs for kind in sorted(output.get("data", {})) if kind.startswith("image/")]
    return [*filter(None, lines), *pictures]


def words_of(line):
    "A line without its numbers. Rules of tables are as long as the numbers below them."
    return re.sub(r"[-\s]+", " ", NUMBER.sub(" 0 ", line)).strip()


def numbers_of(line):
    return [float(number.replace(",", "").replace("−", "-")) for number in NUMBER.findall(line)]


def same(line, other):
    "Whether two lines have the same words, and numbers that are near each other."
    if words_of(line) != words_of(other): return False
    pairs = zip(numbers_of(line), numbers_of(other), strict=True)
    return all(abs(a - b) <= max(ABSOLUTE, RELATIVE * max(abs(a), abs(b))) for a, b in pairs)


def differences(stored, made):
    "What a cell says otherwise than is stored, as a text; empty where it says the same."
    if len(stored) == len(made) and all(map(same, stored, made)): return ""
    return "\n".join(difflib.unified_diff(stored, made, "stored", "now", n=0, lineterm=""))


@pytest.fixture(scope="module")
def pool():
    "What runs chapters, two at once. What it sets in the environment is not left to other tests."
    with patch.dict(os.environ):
        pool = processes(AT_ONCE)
        yield pool
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def again(request, pool):
    "Notebook → what it will be when it has run again, of those that are tested."
    wanted = [item.callspec.params["path"] for item in request.session.items if item.module is request.module
              and "again" in item.fixturenames]
    return {path: pool.submit(run_again, path) for path in wanted}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_says_what_is_stored_in_it(path, again):
    made = again[path].result()
    pairs = [pair for pair in zip(nbformat.read(path, 4).cells, made.cells, strict=True) if is_run(pair[0])]
    found = [(cell, differences(lines_of(cell), lines_of(now))) for cell, now in pairs]
    told = [f"{cell.source.strip().splitlines()[-1]}\n{text}" for cell, text in found if text]
    assert not told, f"run nbs/{path.name} in place and store its outputs:\n" + "\n\n".join(told)


@pytest.mark.parametrize("stored, now, alike", [
    ("accuracy 0.91 of 64 faces", "accuracy 0.90 of 64 faces", True),
    ("accuracy 0.91 of 64 faces", "accuracy 0.88 of 64 faces", False),
    ("accuracy 0.91 of 64 faces", "accuracy 0.91 of 62 faces", False),
    ("1,300 faces", "1,310 faces", True), ("1,300 faces", "1,400 faces", False), ("FECN −0.5", "FECN 0.5", False),
    ("the eyes 0.9", "the mask 0.9", False), ("angry   0.5", "angry  10.5", False), ("| ---- |", "| --- |", True)])
def test_what_counts_as_the_same(stored, now, alike):
    assert same(stored, now) == alike


def test_what_a_cell_says():
    stream = lambda name, text: nbformat.v4.new_output("stream", name=name, text=text)
    kinds = lambda data: {name.replace("_", "/"): text for name, text in data.items()}
    shown = lambda **data: nbformat.v4.new_output("display_data", kinds(data))
    outputs = [stream("stdout", "one\ntook 3.2 s on a CPU\n"), stream("stderr", "a bar"),
               shown(text_plain="<IPython.core.display.Markdown object>", text_markdown="**two**"),
               shown(text_plain="<Styler at 0x7f>", text_html="<style>td {}</style><td>three</td>"),
               shown(text_plain="<Figure size 640x480 with 1 Axes>", image_png="iVBOR")]
    cell = nbformat.v4.new_code_cell("", outputs=outputs)
    assert lines_of(cell) == ["one", "**two**", "three", "image/png"]
    assert differences(["one"], ["one", "two"]) and differences([], ["one"]) and not differences(["one"], ["one"])
    assert is_run(cell) and not is_run(nbformat.v4.new_code_cell("#| eval: false\n1"))


def test_a_cell_that_fails_fails_with_its_error(tmp_path, pool):
    cells = [nbformat.v4.new_code_cell(source) for source in ("#| eval: false\n1 / 0", "assert 1 == 2, 'no two'")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "failing.ipynb")
    with pytest.raises(AssertionError) as error: pool.submit(run_again, tmp_path / "failing.ipynb").result()
    assert (type(error.value), str(error.value)) == (AssertionError, "no two")


def test_a_line_said_slowly_is_one_line(tmp_path, pool):
    slowly = "import sys, time\nfor word in ('one ', 'line\\n'): print(word, end='', flush=True); time.sleep(0.5)"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(slowly)]), tmp_path / "slow.ipynb")
    assert lines_of(pool.submit(run_again, tmp_path / "slow.ipynb").result().cells[0]) == ["one line"]


def test_what_is_stored_is_the_same_the_next_time(tmp_path, pool):
    sources = ("print(1 + 1)", "#| eval: false\n1 / 0", "import sys\nprint('a bar', file=sys.stderr)\n'three'")
    path = tmp_path / "short.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources]), path)
    store(path)
    first = path.read_bytes()
    assert [lines_of(cell) for cell in nbformat.read(path, 4).cells] == [["2"], [], ["'three'"]]
    store(path)
    assert path.read_bytes() == first and b"a bar" not in first.replace(b"print('a bar'", b"")
