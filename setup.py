"""What nbdev's generated pyproject.toml leaves dynamic, read from settings.ini."""
from configparser import ConfigParser
from itertools import chain
from pathlib import Path

from setuptools import find_packages, setup

config = ConfigParser(delimiters=["="])
config.read("settings.ini", encoding="utf-8")
settings = config["DEFAULT"]
lines = lambda key: settings[key].split("\n")
extras = {name: lines(f"{name}_requirements") for name in ("train", "render", "study", "dlib")}
extras["dev"] = list(dict.fromkeys([*chain(*extras.values()), *lines("dev_requirements")]))  # all of it, each once
data = ["detector.*", "faces.md", "head.*", "landmarks.*", "masked_fer/*", "report.html"]

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    url=f"https://github.com/{settings['user']}/{settings['repo']}",
    author=settings["author"],
    author_email=settings["author_email"],
    license="Apache-2.0",
    python_requires=f">={settings['min_python']}",
    packages=find_packages(include=[settings["lib_path"]]),
    package_data={settings["lib_path"]: data},
    install_requires=lines("requirements"),
    extras_require=extras,
    entry_points={"console_scripts": ["maskfer=maskfer_nb.command:main"]},
)
