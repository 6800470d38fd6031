"""What nbdev's generated pyproject.toml leaves dynamic, read from settings.ini."""
from configparser import ConfigParser

from setuptools import find_packages, setup

config = ConfigParser(delimiters=["="])
config.read("settings.ini", encoding="utf-8")
settings = config["DEFAULT"]
lines = lambda key: settings[key].split("\n")

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    author=settings["author"],
    author_email=settings["author_email"],
    license="Apache-2.0",
    python_requires=f">={settings['min_python']}",
    packages=find_packages(include=[settings["lib_path"]]),
    package_data={settings["lib_path"]: ["faces.md", "head.*", "landmarks.*", "masked_fer/*", "report.html"]},
    install_requires=lines("requirements"),
    extras_require={"dev": lines("dev_requirements")},
    entry_points={"console_scripts": ["maskfer=maskfer_nb.command:main"]},
)
