"The pages that `make docs` builds, in a real browser: on a phone, in the dark, and what is looked for on them."
import re
import subprocess
import sys
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    "The folder of the pages, as `make docs` makes them."
    folder = tmp_path_factory.mktemp("pages")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "-c", "docs", ".", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return folder


@pytest.mark.parametrize("page, said", [
    ("nbs/index.html", "three doors"), ("nbs/02_mcn.html", "Eq. 1"),
    ("docs/api/maskfer_nb.masks.html", "Paste a mask")])
def test_a_page_fits_a_phone_and_is_dark_where_that_is_asked_for(pages, browser, page, said):
    phone = dict(width=390, height=800, deviceScaleFactor=1, mobile=True)
    dark = dict(features=[dict(name="prefers-color-scheme", value="dark")])
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    browser.get((pages / page).as_uri())
    assert said in browser.find_element(By.TAG_NAME, "article").text
    assert browser.execute_script("return document.documentElement.scrollWidth") <= phone["width"]
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, re.findall(r"\d+", colour)[:3])) < 3 * 64


def test_the_first_page_leads_to_the_readme(pages):
    assert "nbs/index.html" in (pages / "index.html").read_text()


def test_links_lead_to_pages(pages):
    for page in pages.rglob("*.html"):
        for target in re.findall(r'href="((?!\w+:)[^"#?]+)', page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_flowcharts_are_drawn(pages):
    assert (pages / "nbs/02_mcn.html").read_text().count('class="diagram"') == 2


def test_nothing_says_what_is_meant_for_nbdev(pages):
    for page in (pages / "nbs").glob("*.html"): assert "#| " not in page.read_text(), page.name
