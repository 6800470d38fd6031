"Chapters run again, every cell but those marked `#| eval: false`; `make store CHAPTER=21_sources` keeps what one says."
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from maskfer_nb.chain import own_kernel

ROOT = Path(__file__).parents[1]


def is_run(cell):
    return cell.cell_type == "code" and not re.search(r"^#\| *eval: *false", cell.source, re.M)


class Client(NotebookClient):
    "Runs the cells that are not marked `#| eval: false`."
    async def async_execute_cell(self, cell, cell_index, **options):
        if not is_run(cell): return cell
        return await super().async_execute_cell(cell, cell_index, **options)


def run_again(path):
    "The notebook with the outputs that it has now. Raises CellExecutionError with the error of a cell that fails."
    notebook = nbformat.read(path, 4)
    place, quietly = {"metadata": {"path": str(path.parent)}}, ["--log-level=ERROR"]
    kernel = dict(kernel_name="python3", kernel_manager_class=own_kernel())
    client = Client(notebook, timeout=900, resources=place, extra_arguments=quietly, **kernel)
    client.execute(env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    return notebook


def store(path):
    "Keep in a notebook what its cells say when they are run again, but for what they say beside, as progress bars do."
    notebook = run_again(path)
    for cell in filter(is_run, notebook.cells):
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        cell.metadata.pop("execution", None)
    notebook.metadata = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}
    nbformat.write(notebook, path)
    subprocess.run([Path(sys.executable).with_name("nbdev_clean"), "--fname", path], cwd=ROOT, check=True)


if __name__ == "__main__":
    for name in sys.argv[1:]: store(ROOT / f"nbs/{name}.ipynb")
