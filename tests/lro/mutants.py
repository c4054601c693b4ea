"""Change the core in one small place at a time and see that a test fails: `make mutants`.

Each mutant drops a condition, a changed column, a statement, or turns a comparison, a sum or a choice around. It is
tried in a copy of the project. What survives is printed with its line: a guard that no test would miss.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]
MODULES = [
    "lro/lifecycle/moves.py",
    "lro/lifecycle/transitions.py",
    "lro/lifecycle/leases.py",
    "lro/runtime/fan_out.py",
]
TESTS = [
    f"tests/lro/test_{name}.py"
    for name in ("lifecycle", "children", "time_limits", "leases", "admission", "state_machine")
]
_FLIPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, what was done, and the changed source, for every place that can be changed."""
    count = len(list(_places(ast.parse(source))))
    for index in range(count):
        tree = ast.parse(source)
        line, what = list(_places(tree))[index](is_real=True)
        yield line, what, ast.unparse(tree)


class _Place:
    """One change of a tree; made where it is called."""

    def __init__(self, node: ast.AST, what: str, change: object) -> None:
        self._line, self._what, self._change = getattr(node, "lineno", 0), what, change

    def __call__(self, *, is_real: bool) -> tuple[int, str]:
        if is_real:
            self._change()  # type: ignore[operator]
        return self._line, self._what


def _places(tree: ast.Module) -> Iterator[_Place]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.If, ast.For, ast.With, ast.Try)):
            yield from _statements(node)
        if isinstance(node, ast.Call):
            yield from _arguments(node)
        yield from _operators(node)


def _operators(node: ast.AST) -> Iterator[_Place]:
    text = ast.unparse(node)[:60] if isinstance(node, ast.expr) else ""
    if isinstance(node, ast.Dict):
        for index in range(len(node.values)):
            yield _Place(node, f"drop entry {index} of {text}", lambda i=index: (node.keys.pop(i), node.values.pop(i)))
    if isinstance(node, ast.Compare) and (flipped := _FLIPS.get(type(node.ops[0]))):
        yield _Place(node, f"turn {text}", lambda: node.ops.__setitem__(0, flipped()))
    if isinstance(node, (ast.BinOp, ast.BoolOp)) and (turned := _FLIPS.get(type(node.op))):
        yield _Place(node, f"turn {text}", lambda: setattr(node, "op", turned()))
    if isinstance(node, (ast.If, ast.IfExp)):
        test = ast.unparse(node.test)[:60]
        yield _Place(node, f"negate {test}", lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test)))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.Invert)):
        twice = ast.UnaryOp(type(node.op)(), node.operand)
        yield _Place(node, f"drop the not of {text}", lambda: setattr(node, "operand", twice))


def _statements(node: ast.AST) -> Iterator[_Place]:
    for body in (getattr(node, "body", []), getattr(node, "orelse", [])):
        for index, statement in enumerate(body):
            is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if isinstance(statement, (ast.Expr, ast.AugAssign)) and not is_text:
                what = f"drop {ast.unparse(statement)[:60]}"
                yield _Place(statement, what, lambda b=body, i=index: b.__setitem__(i, ast.Pass()))
            if isinstance(statement, ast.Return) and statement.value is not None:
                what = f"return nothing for {ast.unparse(statement.value)[:60]}"
                yield _Place(statement, what, lambda s=statement: setattr(s, "value", ast.Constant(None)))


def _arguments(node: ast.Call) -> Iterator[_Place]:
    name = ast.unparse(node.func)
    for index, keyword in enumerate(node.keywords):
        what = f"drop {keyword.arg or '**'}={ast.unparse(keyword.value)[:40]} of {name[-30:]}"
        yield _Place(keyword, what, lambda n=node, i=index: n.keywords.pop(i))
    for index, argument in enumerate(node.args):
        if isinstance(argument, ast.Call) and ast.unparse(argument.func) == "Q":
            yield _Place(argument, f"drop {ast.unparse(argument)[:60]}", lambda n=node, i=index: n.args.pop(i))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="so many, chosen at random, instead of all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("modules", nargs="*", default=MODULES)
    options = parser.parse_args(arguments)
    found = [(name, *mutant) for name in options.modules for mutant in mutants((ROOT / name).read_text())]
    chosen = random.Random(options.seed).sample(found, min(options.sample or len(found), len(found)))
    with tempfile.TemporaryDirectory(prefix="lro-mutants-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(options.jobs):
            copies.put(_copy(Path(folder, str(number))))
        with ThreadPoolExecutor(options.jobs) as pool:
            survivors = [line for line in pool.map(lambda mutant: _survives(mutant, copies), chosen) if line]
    killed = len(chosen) - len(survivors)
    print(f"{killed} of {len(chosen)} mutants were killed ({killed / len(chosen):.1%}), of {len(found)} there are.")
    return 0 if killed / len(chosen) >= 0.95 else 1


def _copy(target: Path) -> Path:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.splitlines():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return target


def _survives(mutant: tuple[str, int, str, str], copies: SimpleQueue[Path]) -> str:
    name, line, what, source = mutant
    root = copies.get()
    whole = (root / name).read_text()
    try:
        (root / name).write_text(source)
        tests = [test for test in TESTS if (root / test).exists()]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", *tests]
        environment = os.environ | {"PYTHONPATH": str(root), "LRO_DATA_DIR": str(root / "data")}
        try:
            ended = subprocess.run(command, cwd=root, env=environment, capture_output=True, timeout=240)
            is_killed = ended.returncode != 0
        except subprocess.TimeoutExpired:
            is_killed = True
    finally:
        (root / name).write_text(whole)
        copies.put(root)
    label = f"{name}:{line}: {what}"
    print(f"{'killed  ' if is_killed else 'SURVIVED'} {label}", flush=True)
    return "" if is_killed else label


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
