"Headless Chromium, for every test of this folder."
import shutil

import pytest
from selenium import webdriver


@pytest.fixture(scope="module")
def browser():
    missing = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    if missing: pytest.fail(f"{' and '.join(missing)} not found; on Debian: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for option in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "window-size=1600,2000"):
        options.add_argument(f"--{option}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()
