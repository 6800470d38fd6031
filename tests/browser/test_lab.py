"""What somebody sees who opens the notebooks in JupyterLab, in a real browser: `make test-browser`."""
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from maskfer_nb.runs import CHAIN

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    "JupyterLab on a copy of the notebooks, so that saving changes nothing here; its address."
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "nbs", folder / "nbs", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    shutil.copy(ROOT / "settings.ini", folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(folder / "server.log", "w") as log:
        options = ["--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=",
                   f"--ServerApp.root_dir={folder}", "--LabApp.news_url="]
        command = [sys.executable, "-m", "jupyter", "lab", *options]
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    for _ in range(300):
        if server.poll() is not None: pytest.fail((folder / "server.log").read_text()[-2000:])
        with socket.socket() as try_it:
            if not try_it.connect_ex(("127.0.0.1", port)): break
        time.sleep(0.2)
    yield f"http://127.0.0.1:{port}/lab/tree/nbs"
    server.terminate()
    server.wait(20)


def wait(browser, condition, seconds=60, what=""):
    waiting = WebDriverWait(browser, seconds, 0.3, ignored_exceptions=[WebDriverException])
    return waiting.until(lambda _: condition(), what)


def click(browser, css, text):
    "Click what is shown with this text."
    def shown():
        for found in browser.find_elements(By.CSS_SELECTOR, css):
            if found.text.strip() == text and found.is_displayed(): return found

    wait(browser, shown, 5, text).click()


def run_all(browser, lab, name, seconds):
    "Open a notebook alone, run all its cells as a person does, and wait until the kernel is idle again."
    browser.get(f"{lab}/{name}.ipynb?reset")
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell"), what=f"{name} opens")
    indicator = ".jp-Notebook-ExecutionIndicator"
    state = lambda: browser.find_element(By.CSS_SELECTOR, indicator).get_attribute("data-status")
    splash = lambda: browser.find_elements(By.ID, "jupyterlab-splash")
    wait(browser, lambda: state() == "idle" and not splash(), what="a kernel starts")
    time.sleep(3)  # JupyterLab says so a moment before the menu acts on this notebook
    click(browser, ".lm-MenuBar-itemLabel", "Run")
    click(browser, ".lm-Menu-itemLabel", "Run All Cells")
    wait(browser, lambda: state() == "busy", what=f"{name} runs")
    wait(browser, lambda: state() == "idle", seconds, what=f"{name} comes to its end")


def in_outputs(browser, css):
    """What of a kind the notebook's outputs show, from its first cell to its last.

    JupyterLab draws only cells near the window."""
    notebook, found = browser.find_element(By.CSS_SELECTOR, ".jp-WindowedPanel-outer"), set()
    of = lambda name: browser.execute_script(f"return arguments[0].{name}", notebook)
    height, step = of("scrollHeight"), of("clientHeight")
    for top in range(0, height + step, step // 2):
        browser.execute_script("arguments[0].scrollTop = arguments[1]", notebook, top)
        time.sleep(0.3)
        elements = browser.find_elements(By.CSS_SELECTOR, f".jp-OutputArea-output {css}")
        found |= {element.get_attribute("src") or element.text for element in elements}
    return found


def test_a_control_of_the_explorer_changes_picture_and_numbers(browser, lab):
    run_all(browser, lab, "42_explorer", 180)
    browser.find_element(By.CSS_SELECTOR, ".jp-Notebook").send_keys(Keys.ESCAPE)
    element = lambda css: browser.find_element(By.CSS_SELECTOR, css)
    shown = lambda: (element("img.widget-image").get_attribute("src"), element(".widget-html").text)
    first = wait(browser, lambda: "eyes" in shown()[1] and shown(), what="the explorer is shown")
    drawn = lambda: browser.execute_script("return document.querySelector('img.widget-image').naturalWidth") > 500
    wait(browser, drawn, what="the picture is drawn")
    seen = {first}
    changes = [lambda: Select(element(".widget-dropdown select")).select_by_index(2),
               lambda: click(browser, ".widget-toggle-button", "no mask"),
               lambda: click(browser, ".widget-toggle-button", "cloth")]
    for change in changes:
        before = shown()
        change()
        both = lambda before=before: all(now != then for now, then in zip(shown(), before)) and shown()
        seen.add(wait(browser, both, what="picture and numbers change"))
    assert len(seen) == 4


@pytest.mark.parametrize("name", CHAIN)
def test_a_chain_notebook_shows_its_figures(browser, lab, name):
    run_all(browser, lab, name, 400)
    assert not in_outputs(browser, ".ansi-red-fg"), "an error"
    assert in_outputs(browser, "img")
