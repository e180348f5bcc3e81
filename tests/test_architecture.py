"""Dependencies point one way: app -> pages -> services -> outside. Read from the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.config import PROJECT_ROOT
from tests.sources import imports, modules

LARGEST_MODULE = 300  # lines


def importers(folder: str, *packages: str) -> set[str]:
    """The modules in `folder` that import one of `packages` or something in it."""
    return {
        path.relative_to(PROJECT_ROOT).as_posix()
        for path in modules(folder)
        for name in imports(path)
        if any(f"{name}.".startswith(f"{package}.") for package in packages)
    }


def test_services_know_nothing_of_screens():
    assert importers("services", "streamlit", "pages", "streamlit_app") == set()


def test_services_do_not_need_tests_or_benchmarks():
    assert importers("services", "tests", "benchmarks", "pytest", "hypothesis") == set()
    assert importers("pages", "tests", "benchmarks") == set()


def test_screens_reach_the_outside_through_services_only():
    outside = ("openai", "supabase", "postgrest", "deeplake", "psycopg", "httpx", "wordllama")
    assert importers("pages", *outside) == set()


def test_supabase_is_imported_in_one_place():
    assert importers("services", "supabase", "postgrest") == {"services/accounts/database.py"}


def test_deeplake_is_imported_in_one_place_and_in_the_process_that_speaks_to_its_cloud():
    places = {"services/retrieval/local_store.py", "services/retrieval/cloud_worker.py"}
    assert importers("services", "deeplake") == places
    assert importers("services", "services.retrieval.cloud_worker") == set()


def test_app_does_not_reach_into_the_embedded_supabase_past_its_door():
    """It must be all the same whether Supabase is embedded or hosted."""
    inside = "services/local_supabase/"
    outsiders = {
        path for path in importers("services", "services.local_supabase") if inside not in path
    }
    assert outsiders <= {"services/studio.py"}
    assert importers("pages", "services.local_supabase", "psycopg") == set()


OUTER = ("pages", "services/http")
_STORES = (
    "services.accounts.database",
    "services.deep_memory.backend",
    "services.deep_memory.cloud_backend",
    "services.deep_memory.local_backend",
    "services.deep_memory.model_store",
    "services.deep_memory.test_set_store",
    "services.knowledge.adding",
    "services.knowledge.import_lease",
    "services.knowledge.importer",
    "services.knowledge.kept_files",
    "services.pairs.store",
    "services.person",
    "services.places",
    "services.retrieval.cloud_store",
    "services.retrieval.local_store",
    "services.retrieval.stores",
    "services.retrieval.vector_store",
    "services.runs.lease",
    "services.runs.worker",
)


@pytest.mark.parametrize("folder", OUTER)
def test_screens_and_routes_take_no_way_round_the_guarded_operations(folder):
    """They get at stores and databases through the areas of a workspace alone."""
    allowed = {f"services.runs.store.{name}" for name in ("why_blocked",)}
    allowed |= {"services.pairs.store.AddedPairs"}  # what became of an import of pairs
    ways_round = [
        f"{path.relative_to(PROJECT_ROOT)}: {name}"
        for path in modules(folder)
        for name in imports(path)
        if f"{name}.".startswith(
            tuple(f"{module}." for module in (*_STORES, "services.runs.store"))
        )
        and name not in allowed
    ]
    reached = [
        f"{path.relative_to(PROJECT_ROOT)}:{line}: .{name}"
        for path in modules(folder)
        for line, name in foreign_attributes(path)
        if name in ("store", "database", "places", "jobs") or is_private(name)
    ]
    assert (ways_round, reached) == ([], [])


def foreign_attributes(path: Path) -> Iterator[tuple[int, str]]:
    """The attributes that a module takes of anything but `self`, with their lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") != "self":
            yield node.lineno, node.attr


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def test_who_ranks_and_trains_is_chosen_in_one_place():
    choosers = {
        path.relative_to(PROJECT_ROOT).as_posix()
        for path in modules("services")
        if re.search(r"isinstance\([^)]*VectorStore\)|trains_in_cloud", path.read_text())
    }
    assert choosers == {"services/deep_memory/backend.py", "services/config.py"}


@pytest.mark.parametrize("inner", ["services.models", "services.errors", "services.runs.states"])
def test_what_everything_builds_on_builds_on_nothing(inner):
    path = PROJECT_ROOT / (inner.replace(".", "/") + ".py")
    own = {name for name in imports(path) if name.startswith("services.")}
    assert own <= {"services.runs.states.RunStatus"}


@pytest.mark.parametrize("module", ["evaluation", "split"])
def test_pure_mathematics_does_no_input_or_output(module):
    path = PROJECT_ROOT / f"services/deep_memory/{module}.py"
    allowed = {"__future__", "collections", "dataclasses", "enum", "math", "numpy", "typing"}
    others = {name for name in imports(path) if name.split(".")[0] not in allowed}
    assert {name.rpartition(".")[0] for name in others} <= {
        "services.errors",
        "services.deep_memory.evaluation",
    }


def test_library_supabase_is_not_hidden_by_the_folder_of_migrations():
    assert not list((PROJECT_ROOT / "supabase").rglob("*.py"))


@pytest.mark.parametrize("folder", ["services", "pages"])
def test_modules_stay_small_enough_to_be_read_in_one_go(folder):
    lengths = {path: len(path.read_text().splitlines()) for path in modules(folder)}
    too_long = {path: lines for path, lines in lengths.items() if lines > LARGEST_MODULE}
    assert too_long == {}
