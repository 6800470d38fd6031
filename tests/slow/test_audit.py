"No version in requirements.lock has a known vulnerability."
import json
import subprocess
import sys

import pytest
from copies import ROOT


def findings(answer):
    "Package and version, what is known of it, and the versions that mend it; by pip-audit's JSON."
    mended = lambda known: ", ".join(known["fix_versions"]) or "no version"
    pairs = [(one, known) for one in answer["dependencies"] for known in one.get("vulns", [])]
    return [f"{one['name']} {one['version']}: {known['id']}, mended in {mended(known)}" for one, known in pairs]


def test_findings_name_the_version_that_mends_them():
    known = dict(id="PYSEC-2023-212", fix_versions=["2.0.7"])
    packages = [dict(name="urllib3", version="2.0.6", vulns=[known]), dict(name="numpy", version="2.4.0", vulns=[]),
                dict(name="torch", skip_reason="not found")]
    assert findings(dict(dependencies=packages)) == ["urllib3 2.0.6: PYSEC-2023-212, mended in 2.0.7"]


def test_nothing_locked_is_known_to_be_vulnerable():
    audit = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "pip-audit>=2.10,<3"]
    options = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    command = [*audit, "--requirement", "requirements.lock", *options]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    try:
        answer = json.loads(result.stdout)
    except ValueError:
        pytest.skip(f"pip-audit or what it asks is not reachable: {result.stderr.strip().splitlines()[-1:]}")
    audited = [one for one in answer["dependencies"] if "skip_reason" not in one]
    nothing = "the vulnerability service is not reachable: PyPI's mirror here knows no vulnerabilities"
    if not audited: pytest.skip(nothing)
    print(f"{len(audited)} of {len(answer['dependencies'])} packages audited")
    assert not findings(answer), "change settings.ini or run make lock:\n" + "\n".join(findings(answer))
