"""What somebody sees who opens the notebooks in JupyterLab, in a real browser: `make test-browser`."""
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

ROOT = Path(__file__).parents[2]
CHAIN = ["01_datasets", "02_mcn", "03_fecn", "04_evaluation"]


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
        server = subprocess.Popen([sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.news_url="], stdout=log, stderr=log, cwd=folder)
    for _ in range(300):
        if server.poll() is not None: pytest.fail((folder / "server.log").read_text()[-2000:])
        with socket.socket() as try_it:
            if not try_it.connect_ex(("127.0.0.1", port)): break
        time.sleep(0.2)
    yield f"http://127.0.0.1:{port}/lab/tree/nbs"
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module")
def browser():
    missing = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    if missing: pytest.fail(f"{' and '.join(missing)} not found; on Debian: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1600,2000"): options.add_argument(option)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def wait(browser, condition, seconds=60, what=""):
    return WebDriverWait(browser, seconds, 0.3, ignored_exceptions=[WebDriverException]).until(lambda _: condition(), what)


def click(browser, css, text):
    "Click what is shown with this text."
    found = wait(browser, lambda: next((found for found in browser.find_elements(By.CSS_SELECTOR, css) if found.text.strip() == text and found.is_displayed()), None), 5, text)
    found.click()


def run_all(browser, lab, name, seconds):
    "Open a notebook alone, run all its cells as a person does, and wait until the kernel is idle again."
    browser.get(f"{lab}/{name}.ipynb?reset")
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell"), what=f"{name} opens")
    state = lambda: browser.find_element(By.CSS_SELECTOR, ".jp-Notebook-ExecutionIndicator").get_attribute("data-status")
    wait(browser, lambda: state() == "idle" and not browser.find_elements(By.ID, "jupyterlab-splash"), what="a kernel starts")
    time.sleep(3)  # JupyterLab says so a moment before the menu acts on this notebook
    click(browser, ".lm-MenuBar-itemLabel", "Run")
    click(browser, ".lm-Menu-itemLabel", "Run All Cells")
    wait(browser, lambda: state() == "busy", what=f"{name} runs")
    wait(browser, lambda: state() == "idle", seconds, what=f"{name} comes to its end")


def in_outputs(browser, css):
    "What of a kind the notebook's outputs show, from its first cell to its last: JupyterLab draws only cells near the window."
    notebook, found = browser.find_element(By.CSS_SELECTOR, ".jp-WindowedPanel-outer"), set()
    height, step = (browser.execute_script(f"return arguments[0].{name}", notebook) for name in ("scrollHeight", "clientHeight"))
    for top in range(0, height + step, step // 2):
        browser.execute_script("arguments[0].scrollTop = arguments[1]", notebook, top)
        time.sleep(0.3)
        found |= {element.get_attribute("src") or element.text for element in browser.find_elements(By.CSS_SELECTOR, f".jp-OutputArea-output {css}")}
    return found


def test_a_control_of_the_explorer_changes_picture_and_numbers(browser, lab):
    run_all(browser, lab, "42_explorer", 180)
    browser.find_element(By.CSS_SELECTOR, ".jp-Notebook").send_keys(Keys.ESCAPE)
    shown = lambda: (browser.find_element(By.CSS_SELECTOR, "img.widget-image").get_attribute("src"), browser.find_element(By.CSS_SELECTOR, ".widget-html").text)
    first = wait(browser, lambda: "eyes" in shown()[1] and shown(), what="the explorer is shown")
    wait(browser, lambda: browser.execute_script("return document.querySelector('img.widget-image').naturalWidth") > 500, what="the picture is drawn")
    seen = {first}
    for change in (lambda: Select(browser.find_element(By.CSS_SELECTOR, ".widget-dropdown select")).select_by_index(2), lambda: click(browser, ".widget-toggle-button", "no mask"), lambda: click(browser, ".widget-toggle-button", "cloth")):
        before = shown()
        change()
        seen.add(wait(browser, lambda: shown()[0] != before[0] and shown()[1] != before[1] and shown(), what="picture and numbers change"))
    assert len(seen) == 4


@pytest.mark.parametrize("name", CHAIN)
def test_a_chain_notebook_shows_its_figures(browser, lab, name):
    run_all(browser, lab, name, 400)
    assert not in_outputs(browser, ".ansi-red-fg"), "an error"
    assert in_outputs(browser, "img")
