"""Small faults: one change at a time to Python source, or to the functions of the SQL migrations.

Pure functions from text to changed texts. Left alone are what no rule rests on: log lines,
annotations, decorators, texts, and constants outside of function bodies, which are tuned.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_FLIPPED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OTHER: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
_LOGS = {"log", "logger"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: where it is, what was there, what is there now, and the whole text with it."""

    line: int
    was: str
    became: str
    text: str


def python_mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module."""
    tree = ast.parse(source)
    for parent, name, place, node, in_function in _nodes(tree, in_function=False):
        for changed in _changes(node, in_function):
            # A number alone says nothing: it is shown with what it stands in.
            of = [parent] if isinstance(node, ast.Constant) else [node, changed]
            was = _short(of[0])
            _put(parent, name, place, changed)
            text = ast.unparse(ast.fix_missing_locations(tree))
            became = _short(of[-1])
            _put(parent, name, place, node)
            yield Mutant(node.lineno, was, became, text)


def _nodes(
    parent: ast.AST, *, in_function: bool
) -> Iterator[tuple[ast.AST, str, int | None, ast.expr | ast.stmt, bool]]:
    """(parent, field, index, node, whether in a function) of what may be changed, top down."""
    if isinstance(parent, ast.FunctionDef | ast.arguments):
        in_function = isinstance(parent, ast.FunctionDef)  # defaults are tuned, too
    for name, value in ast.iter_fields(parent):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for place, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST) or _says_nothing(node):
                continue
            if isinstance(node, ast.expr | ast.stmt):
                yield parent, name, place, node, in_function
            yield from _nodes(node, in_function=in_function)


def _says_nothing(node: ast.AST) -> bool:
    """Log lines, docstrings, assertions of what always holds, and texts."""
    if isinstance(node, ast.keyword):
        return node.arg == "strict"
    if isinstance(node, ast.Expr):
        call = node.value
        return isinstance(call, ast.Constant) or (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id in _LOGS
        )
    return isinstance(node, ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom)


def _changes(node: ast.expr | ast.stmt, in_function: bool) -> Iterator[ast.AST]:
    """What may stand in the place of `node`."""
    match node:
        case ast.Compare(left, [op, *more], others):
            for flipped in _FLIPPED[type(op)]:
                yield ast.Compare(left, [flipped(), *more], others)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.BinOp(left, op, right) if type(op) in _OTHER and not _is_text(left, right):
            yield ast.BinOp(left, _OTHER[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in _OTHER:
            yield ast.AugAssign(target, _OTHER[type(op)](), value)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.Constant(bool() as value) if in_function:
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value) if in_function:
            yield ast.Constant(value + 1)
            if value:
                yield ast.Constant(value - 1)
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.If(test, body, orelse) | ast.While(test, body, orelse):
            yield type(node)(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Return(value) if value is not None and not _is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Raise() | ast.Expr(ast.Call()) | ast.Continue() | ast.Break():
            yield ast.Pass()


def _is_text(*operands: ast.expr) -> bool:
    return any(
        isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)
        for node in operands
    )


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _put(parent: ast.AST, name: str, place: int | None, node: ast.AST) -> None:
    if place is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[place] = node


def _short(node: ast.AST) -> str:
    line = ast.unparse(node).splitlines()[0]
    return line if len(line) <= 90 else f"{line[:87]}..."


# SQL -------------------------------------------------------------------------------------------

_FUNCTION = re.compile(
    r"create (?:or replace )?function public\.(\w+)\(.*?\$\$(.*?)\$\$", re.DOTALL | re.IGNORECASE
)
# A condition ends where the next begins, or its clause or its parenthesis does.
_END = re.compile(
    r"\s*(?:--[^\n]*\n\s*)?(?:\b(?:and|or|then|returning|for update|group by|order by|limit|"
    r"on conflict|loop|from)\b|;|$)",
    re.IGNORECASE,
)
_REWRITES = [
    (re.compile(pattern, re.IGNORECASE), became)
    for pattern, became in (
        (r"\bis null\b", "is not null"),
        (r"\bis not null\b", "is null"),
        (r"\bif not (?=public\.)", "if "),
        (r"\bif (?=now\(\))", "if not "),
        (r"\bnot exists\b", "exists"),
        (r"(?<=\w) < (?=now)", " > "),
        (r"(?<=\w) <> (?=['\w])", " = "),
        (r"\bdistinct on \([^\n]*\)", ""),
        (r"(?<=attempt) \+ 1\b", " + 0"),
        (r"(?<=\w) \+ (?=coalesce|case)", " - "),
        (r"\breturn true\b", "return false"),
        (r"\breturn false\b", "return true"),
        (r"\bdesc\b", ""),
        (
            r"\border by [^\n;]*?place\b",
            "order by public.question_key(p.question_text), place desc",
        ),
        (r"\binterval '(\d+) seconds'", r"interval '1\1 seconds'"),
        (r"\bcoalesce\(excluded\.active_run_id, s\.active_run_id\)", "excluded.active_run_id"),
    )
]


def current_functions(files: Mapping[str, str]) -> dict[str, tuple[str, int, int]]:
    """(file, begin, end) of the body of each function, where it was last defined."""
    found = {}
    for name in sorted(files):
        for match in _FUNCTION.finditer(files[name]):
            found[match[1]] = (name, *match.span(2))
    return found


def sql_mutants(source: str, begin: int, end: int) -> Iterator[Mutant]:
    """Every mutant of the function body between `begin` and `end`."""
    body = source[begin:end]
    for first, last, became in (*_without_conditions(body), *_rewritten(body)):
        text = source[: begin + first] + became + source[begin + last :]
        was = " ".join(body[first:last].split())
        line = source.count("\n", 0, begin + first) + 1
        yield Mutant(line, was[:90], " ".join(became.split()) or "(nothing)", text)


def _without_conditions(body: str) -> Iterator[tuple[int, int, str]]:
    """Each condition of a WHERE, an IF or an ON, as if it always held."""
    code = re.sub(r"'[^']*'|--[^\n]*", lambda match: "x" * len(match[0]), body)
    for word in re.finditer(r"\b(?:and|where)\b(?! is_the_row)", code, re.IGNORECASE):
        depth, place = 0, word.end()
        while depth or not _END.match(code, place):
            depth += {"(": 1, ")": -1}.get(code[place], 0)
            if depth < 0:
                break
            place += 1
        became = " and true" if word[0].lower() == "and" else "where true"
        yield word.start(), place, became


def _rewritten(body: str) -> Iterable[tuple[int, int, str]]:
    for pattern, became in _REWRITES:
        for match in pattern.finditer(body):
            yield *match.span(), match.expand(became)
