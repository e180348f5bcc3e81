"""The requirements list what is imported and no more, and the locks fit them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from services.config import PROJECT_ROOT
from tests.sources import imports, modules

APP, DEV = "requirements.txt", "requirements-dev.txt"
OCR, MINILM = "requirements-ocr.txt", "requirements-minilm.txt"
OWN = {"services", "pages", "tests", "benchmarks", "streamlit_app"}
NOT_IMPORTED = {
    APP: {
        "libdeeplake": "deeplake asks for it while it is built",
        "pytest": "the owner's list of the app's packages names it",
        "python-multipart": "FastAPI reads uploads with it",
    },
    DEV: {
        "lxml-stubs": "types",
        "mypy": "a command",
        "pandas-stubs": "types",
        "pytest-xdist": "a plugin of pytest",
        "ruff": "a command",
        "types-psutil": "types",
        "uv": "a command",
    },
}
# Have an environment of their own, of benchmarks/requirements-peers.txt.
ELSEWHERE = {PROJECT_ROOT / "benchmarks" / name for name in ("peer_maps.py", "raglite_adapter.py")}


def listed(file: str) -> dict[str, Requirement]:
    """What a requirements file asks for, without what it includes."""
    lines = (PROJECT_ROOT / file).read_text(encoding="utf-8").splitlines()
    asked = [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]
    return {canonicalize_name(requirement.name): requirement for requirement in asked}


def imported(*folders: str) -> dict[str, list[str]]:
    """The other people's modules that `folders` import, each with the packages it may be from."""
    paths = [path for folder in folders for path in modules(folder)]
    if "services" in folders:
        paths.append(PROJECT_ROOT / "streamlit_app.py")
    names = {
        name.split(".")[0] for path in paths if path not in ELSEWHERE for name in imports(path)
    }
    packages = packages_distributions()
    return {
        name: [canonicalize_name(package) for package in packages.get(name, ())]
        for name in names
        - OWN
        - sys.stdlib_module_names
        - listed(OCR).keys()
        - listed(MINILM).keys()
    }


def pins(file: str) -> Iterator[tuple[Requirement, str]]:
    """Every pin of the lock for a requirements file, with its hashes and who asked for it."""
    lock = Path(PROJECT_ROOT / file).with_suffix(".lock").read_text(encoding="utf-8")
    for entry in re.split(r"^(?=\w)", lock, flags=re.MULTILINE)[1:]:
        pin, _, rest = entry.partition(" \\\n")
        yield Requirement(pin), rest


@pytest.mark.parametrize(
    ("folders", "files"),
    [(("services", "pages"), (APP,)), (("tests", "benchmarks", "docs"), (APP, DEV))],
)
def test_what_is_imported_is_listed(folders, files):
    names = {name for file in files for name in listed(file)}
    unlisted = {m: found for m, found in imported(*folders).items() if names.isdisjoint(found)}
    assert unlisted == {}


@pytest.mark.parametrize(
    ("file", "folders"), [(APP, ("services", "pages")), (DEV, ("tests", "benchmarks", "docs"))]
)
def test_what_is_listed_is_imported_or_has_a_reason(file, folders):
    used = {package for packages in imported(*folders).values() for package in packages}
    assert listed(file).keys() - used == NOT_IMPORTED[file].keys()


@pytest.mark.parametrize("file", [APP, DEV])
def test_lock_holds_a_version_with_hashes_of_all_that_is_listed(file):
    locked = dict(pins(file))
    assert all("--hash=sha256:" in rest for rest in locked.values())
    asked_for = {
        canonicalize_name(pin.name): pin for pin, rest in locked.items() if f"-r {file}\n" in rest
    }
    assert asked_for.keys() == listed(file).keys(), "Refresh it: .ci/lock"
    for name, requirement in listed(file).items():
        [version] = asked_for[name].specifier
        assert version.version in requirement.specifier, f"{name}: refresh it with .ci/lock"


def test_app_is_tested_with_the_versions_of_its_own_lock():
    tested = {pin.name: pin.specifier for pin, _ in pins(DEV)}
    installed = {pin.name: pin.specifier for pin, _ in pins(APP)}
    assert installed.items() <= tested.items()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock_names_no_address_so_that_any_index_serves_it(lock):
    assert "://" not in (PROJECT_ROOT / lock).read_text(encoding="utf-8")


def test_minilm_is_tested_with_versions_that_its_requirements_allow():
    locked = {canonicalize_name(pin.name): pin.specifier for pin, _ in pins(DEV)}
    for name, requirement in listed(MINILM).items():
        [version] = locked[name]
        assert version.version in requirement.specifier, f"{name}: refresh it with .ci/lock"
