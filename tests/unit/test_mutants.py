"""The faults that `python -m benchmarks.mutations` puts in are small, valid and meant."""

from __future__ import annotations

import ast

from benchmarks.mutants import current_functions, python_mutants, sql_mutants
from benchmarks.mutation_targets import EQUIVALENT, MODULES, SQL
from services.config import PROJECT_ROOT

MIGRATIONS = {
    path.name: path.read_text() for path in (PROJECT_ROOT / "supabase/migrations").glob("*.sql")
}


def changes(source: str) -> set[tuple[str, str]]:
    return {(mutant.was, mutant.became) for mutant in python_mutants(source)}


def test_comparisons_are_flipped_and_moved_by_one_at_their_edge():
    assert changes("def f(a, b):\n    return a < b") == {
        ("return a < b", "return None"),
        ("a < b", "a <= b"),
        ("a < b", "a >= b"),
    }


def test_guards_statements_and_constants_go_or_change():
    found = changes("def f(a):\n    if not a and a:\n        raise E\n    g(a, 1)\n    a += 2")
    assert {
        ("raise E", "pass"),
        ("g(a, 1)", "pass"),
        ("g(a, 1)", "g(a, 2)"),
        ("g(a, 1)", "g(a, 0)"),
        ("a += 2", "a -= 2"),
        ("not a", "a"),
        ("not a and a", "not a or a"),
        ("if not a and a:", "if not (not a and a):"),
    } <= found


def test_log_lines_texts_annotations_decorators_and_tuned_constants_stay():
    source = (
        'SIZE = 3\n"""doc"""\n@d(frozen=True)\ndef f(a: X[1] = None, n=1) -> Y[2]:\n'
        '    """doc"""\n    log.info("x %d", a + 1)\n    b = "x" + a\n    assert a > 1\n'
        "    c = zip(a, strict=True)"
    )
    assert changes(source) == set()


def test_every_mutant_of_python_is_valid_and_leaves_no_trace_in_the_next():
    source = (PROJECT_ROOT / "services/deep_memory/split.py").read_text()
    texts = [mutant.text for mutant in python_mutants(source)]
    plain = ast.unparse(ast.parse(source))
    assert len(set(texts)) == len(texts) > 50
    for text in texts:
        assert ast.parse(text) and text != plain
        assert abs(len(text) - len(plain)) < 400  # one change, and not those before it


def test_a_function_is_taken_where_it_was_last_defined():
    old = "create function public.f(a int) as $$ one $$;"
    new = "create or replace function public.f(a int) as $$ two $$;"
    assert current_functions({"2.sql": new, "1.sql": old})["f"][0] == "2.sql"
    functions = current_functions(MIGRATIONS)
    assert functions["save_pairs"][0] > functions["claim_run"][0]


def test_each_condition_of_a_statement_is_left_out_once():
    body = " update t set a = 1 where id = f(p, (q)) and (b is null or c) and d in (1) returning *"
    without = [mutant.was for mutant in sql_mutants(body, 0, len(body)) if "true" in mutant.became]
    assert without == ["where id = f(p, (q))", "and (b is null or c)", "and d in (1)"]


def test_the_functions_of_the_migrations_have_conditions_to_leave_out():
    functions = current_functions(MIGRATIONS)
    for name in ("leave_run", "save_pairs", "record_batch", "proceed_run", "rescue_runs"):
        file, begin, end = functions[name]
        assert len(list(sql_mutants(MIGRATIONS[file], begin, end))) >= 5, name


def test_every_function_has_tests_that_are_to_notice_and_every_named_file_is_there():
    assert sorted(name for names, _ in SQL.values() for name in names) == sorted(
        current_functions(MIGRATIONS)
    )
    for tests in (*MODULES.values(), *(tests for _, tests in SQL.values())):
        for name in tests:
            assert (PROJECT_ROOT / "tests" / f"{name}.py").is_file(), name


def test_what_is_called_equivalent_is_still_there():
    functions = current_functions(MIGRATIONS)
    found = {
        (module, mutant.was, mutant.became)
        for module in {name for name, _, _ in EQUIVALENT} & set(MODULES)
        for mutant in python_mutants((PROJECT_ROOT / module).read_text())
    } | {
        (name, mutant.was, mutant.became)
        for name, (file, begin, end) in functions.items()
        for mutant in sql_mutants(MIGRATIONS[file], begin, end)
    }
    assert set(EQUIVALENT) <= found
