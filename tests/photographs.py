"Where tests find photographs, which are no part of the repository: their tests are skipped where there are none."
import os
from pathlib import Path

import pytest

VARIABLE = "MASKFER_PHOTOGRAPHS"
BESIDE = Path(__file__).parents[2] / "shared/data"


def archive(name):
    "An archive's path in the folder that `MASKFER_PHOTOGRAPHS` names; where it is absent the test is skipped."
    path = Path(os.environ.get(VARIABLE) or BESIDE) / name
    if not path.exists(): pytest.skip(f"no {name} in {path.parent}; {VARIABLE} names the folder that has it")
    return path
