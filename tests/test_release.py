"What a release rests on: one version everywhere, packages that can be built and installed, files that others read."
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from maskfer_nb import __version__

ROOT = Path(__file__).parents[1]


def succeeds(*command, **options):
    "Run a program, which must end well."
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert not done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    "The source distribution, and the wheel that is built from it."
    folder = tmp_path_factory.mktemp("built")
    for name in ("settings.ini", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "maskfer_nb", folder / "maskfer_nb", ignore=shutil.ignore_patterns("__pycache__"))
    succeeds(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", cwd=folder)
    (source,), (wheel,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    return source, wheel


def test_packages_are_what_an_index_takes(built):
    succeeds(sys.executable, "-m", "twine", "check", "--strict", *built)


def test_the_wheel_carries_library_and_assets(built):
    kept = {path.relative_to(ROOT).as_posix() for path in (ROOT / "maskfer_nb").rglob("*")
            if path.is_file() and "__pycache__" not in path.parts}
    assert kept <= set(zipfile.ZipFile(built[1]).namelist())


def test_the_source_distribution_can_be_built_from(built):
    with tarfile.open(built[0]) as archive: names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"settings.ini", "setup.py", "pyproject.toml", "README.md", "LICENSE"} <= names


def test_a_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == json.loads((ROOT / ".zenodo.json").read_text())["version"] == __version__
    assert f"## {__version__}, {citation['date-released']}" in (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"(?m)^version = (.+)$", (ROOT / "settings.ini").read_text())[1] == __version__


@pytest.mark.parametrize("schema, name", [
    ("github-workflows", ".github/workflows/tests.yml"), ("github-workflows", ".github/workflows/pages.yml"),
    ("citation-file-format", "CITATION.cff")])
def test_files_that_others_read_are_as_they_must_be(schema, name):
    program = Path(sys.executable).with_name("check-jsonschema")
    succeeds(program, "--builtin-schema", f"vendor.{schema}", ROOT / name)
