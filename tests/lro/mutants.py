"""Change the core in one small place at a time and see that a test fails: `make mutants`.

Each mutant drops a condition, a changed column, a statement, or turns a comparison, a sum or a choice around. It is
tried in a copy of the project, by the tests that come by its line, the quickest first. What survives is printed with
its line: a guard that no test would miss.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from xml.etree import ElementTree

from coverage import CoverageData

from config.data_directory import DataDirectory
from config.embedded import serving

ROOT = Path(__file__).resolve().parents[2]
MODULES = [
    "lro/lifecycle/moves.py",
    "lro/lifecycle/transitions.py",
    "lro/lifecycle/families.py",
    "lro/lifecycle/leases.py",
    "lro/runtime/fan_out.py",
]
TESTS = [
    f"tests/lro/test_{name}.py"
    for name in ("moves", "families", "lifecycle", "children", "time_limits", "leases", "admission", "state_machine")
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
    for node in ast.walk(_without_types(tree)):
        if isinstance(node, (ast.FunctionDef, ast.If, ast.For, ast.With, ast.Try)):
            yield from _statements(node)
        if isinstance(node, ast.Call):
            yield from _arguments(node)
        yield from _operators(node)


def _without_types(tree: ast.Module) -> ast.Module:
    """Annotations do nothing at run time, so no test can miss them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant("")
    return tree


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
            if isinstance(statement, ast.Return) and ast.unparse(statement) not in ("return", "return None"):
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


@dataclass(frozen=True)
class Mutant:
    module: str
    line: int
    what: str
    source: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.what}"


@dataclass
class Copy:
    """A copy of the project with running servers, in which one mutant after another is tried."""

    root: Path

    def pytest(self, *arguments: str, under: Sequence[str] = (), timeout: float | None = None) -> int:
        """The exit code of pytest, or -1 where it took longer than `timeout`; `under` is a module that runs it."""
        options = ["-m", "pytest", "-q", "-n0", "--reuse-db", "-p", "no:cacheprovider"]
        environment = os.environ | {
            "PYTHONPATH": str(self.root),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "LRO_TEST_DATA_DIR": str(self.root / "data"),
        }
        command = [sys.executable, *under, *options, *arguments]
        with contextlib.suppress(subprocess.TimeoutExpired), (self.root / "pytest.log").open("wb") as log:
            return subprocess.run(command, cwd=self.root, env=environment, stdout=log, timeout=timeout).returncode
        return -1


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="so many, chosen at random, instead of all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("modules", nargs="*", default=MODULES)
    options = parser.parse_args(arguments)
    found = [Mutant(name, *mutant) for name in options.modules for mutant in mutants((ROOT / name).read_text())]
    chosen = random.Random(options.seed).sample(found, min(options.sample or len(found), len(found)))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lro-mutants-"))
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(options.jobs):
            copy = _copy(Path(folder, str(number)))
            stack.enter_context(serving(DataDirectory(copy.root / "data")))
            copies.put(copy)
        tests = _tests_by_line(copies)
        with ThreadPoolExecutor(options.jobs) as pool:
            survivors = [one for one in pool.map(lambda mutant: _survives(mutant, tests, copies), chosen) if one]
    killed = len(chosen) - len(survivors)
    print(f"{killed} of {len(chosen)} mutants were killed ({killed / len(chosen):.1%}), of {len(found)} there are.")
    return 0 if killed / len(chosen) >= 0.95 else 1


def _copy(target: Path) -> Copy:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.splitlines():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return Copy(target)


def _tests_by_line(copies: SimpleQueue[Copy]) -> dict[tuple[str, int], list[str]]:
    """Which tests execute a line, the quickest first; what is executed at import time concerns all."""
    copy = copies.get()
    (copy.root / "trace.ini").write_text("[run]\nsource = lro\ndynamic_context = test_function\n")
    report, trace = copy.root / "report.xml", copy.root / "trace"
    coverage = ["-m", "coverage", "run", f"--rcfile={copy.root / 'trace.ini'}", f"--data-file={trace}"]
    _require(copy, f"--junitxml={report}", *TESTS, under=coverage)
    others = [copies.get() for _ in range(copies.qsize())]
    for other in others:  # where nothing passes, everything seems to be killed
        _require(other, *TESTS[:2])
    for each in (copy, *others):
        copies.put(each)
    return dict(_read_trace(trace, copy.root, _seconds(report)))


def _require(copy: Copy, *arguments: str, under: Sequence[str] = ()) -> None:
    if copy.pytest(*arguments, under=under) != 0:
        raise SystemExit(f"The tests must pass before anything is changed:\n{(copy.root / 'pytest.log').read_text()}")


def _seconds(report: Path) -> dict[str, float]:
    """By the name that coverage gives a test: its longest case counts."""
    seconds: dict[str, float] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}.{str(case.get('name')).partition('[')[0]}"
        seconds[name] = seconds.get(name, 0.0) + float(case.get("time") or 0)
    return seconds


def _read_trace(trace: Path, root: Path, seconds: dict[str, float]) -> Iterator[tuple[tuple[str, int], list[str]]]:
    data = CoverageData(str(trace))
    data.read()
    for module in MODULES:
        for line, contexts in data.contexts_by_lineno(str(root / module)).items():
            names = sorted((name for name in contexts if name), key=lambda name: seconds.get(name, 60.0))
            yield (module, line), [_as_node(name) for name in names]


def _as_node(name: str) -> str:
    """`tests.lro.test_x.TestY.test_z` as pytest names it."""
    parts = name.split(".")
    return "::".join(["/".join(parts[:3]) + ".py", *parts[3:]])


def _survives(mutant: Mutant, tests: dict[tuple[str, int], list[str]], copies: SimpleQueue[Copy]) -> str:
    copy = copies.get()
    path = copy.root / mutant.module
    whole = path.read_text()
    try:
        path.write_text(mutant.source)
        chosen = tests.get((mutant.module, mutant.line)) or TESTS
        is_killed = copy.pytest("-x", *chosen, timeout=240) != 0
    finally:
        path.write_text(whole)
        copies.put(copy)
    print(f"{'killed  ' if is_killed else 'SURVIVED'} {mutant}", flush=True)
    return "" if is_killed else str(mutant)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
