"Chapters run again, every cell but those marked `#| eval: false`; `make store CHAPTER=21_sources` keeps what one says."
import os
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import nbformat
import pandas as pd
from execnb.shell import CaptureShell

ROOT = Path(__file__).parents[1]
IMPORTED = ["execnb.shell", "maskfer_nb.training", "seaborn"]  # by most chapters; it takes longer than they do


def is_run(cell):
    return cell.cell_type == "code" and not re.search(r"^#\| *eval: *false", cell.source, re.M)


def processes(n):
    "Processes for `run_again`, n at once, of one thread each: every one is forked anew from one that has `IMPORTED`."
    os.environ.update(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    context = get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    return ProcessPoolExecutor(n, context, max_tasks_per_child=1)


def run_again(path):
    "The notebook with the outputs that it has now. Raises the error of a cell that fails."
    os.chdir(path.parent)
    pd.set_option("display.max_columns", 20)  # as in JupyterLab
    if "__repr__" in vars(Path): del Path.__repr__  # fastcore's, which comes with the shell
    shell, notebook = CaptureShell(mpl_format="png"), nbformat.read(path, 4)
    for cell in filter(is_run, notebook.cells):
        cell.outputs = [nbformat.from_dict(output) for output in shell.run(cell.source)]
        if shell.exc: raise shell.exc
    return nbformat.reads(nbformat.writes(notebook), 4)


def store(path):
    "Keep in a notebook what its cells say when they are run again, but for what they say beside, as progress bars do."
    with processes(1) as pool: notebook = pool.submit(run_again, path).result()
    for cell in filter(is_run, notebook.cells):
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}
    nbformat.write(notebook, path)
    subprocess.run([Path(sys.executable).with_name("nbdev_clean"), "--fname", path], cwd=ROOT, check=True)


if __name__ == "__main__":
    for name in sys.argv[1:]: store(ROOT / f"nbs/{name}.ipynb")
