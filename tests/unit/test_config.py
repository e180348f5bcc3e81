"""The settings, and the file that explains them to whoever sets them."""

from __future__ import annotations

import re

from services.config import PROJECT_ROOT, Settings

EXAMPLE = (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8")
# A group of comment lines with its settings; SUPABASE_ANON_KEY is an alias, told in passing.
EXPLAINED = re.findall(r"^# ([A-Z][A-Z_]+)=", EXAMPLE, flags=re.MULTILINE)


def test_the_example_names_every_setting_once_and_no_other():
    assert sorted(EXPLAINED) == sorted(name.upper() for name in Settings.model_fields)


def test_every_setting_of_the_example_has_a_line_that_explains_it():
    for group in EXAMPLE.split("\n\n"):
        assert re.match(r"# (?![A-Z_]+=)\S", group), group


def test_the_example_is_usable_as_it_is(tmp_path):
    file = tmp_path / ".env"
    file.write_text(EXAMPLE)
    assert Settings(_env_file=file) == Settings(_env_file=None)
