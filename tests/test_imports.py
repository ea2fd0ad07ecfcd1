"""The floors: smelu_tf and pipelines < models < scripts, and no circles."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {
    "smelu_tf": "smelu_tf",
    "smelu_tf.pipelines": "pipelines",
    "smelu_tf.models": "models",
    "scripts": "scripts",
}
# First parts of names that mean this project. `models` and `pipelines` are found only
# from the repo's root: nothing may be imported by these names.
TOP = {"smelu_tf", "scripts", "models", "pipelines"}
# What the modules of a package may import of this project, besides their own.
BELOW = {
    "smelu_tf": set(),
    "smelu_tf.pipelines": set(),
    "smelu_tf.models": {"smelu_tf", "smelu_tf.pipelines"},
    "scripts": {"smelu_tf", "smelu_tf.pipelines", "smelu_tf.models"},
}


def modules(root: Path) -> dict[str, Path]:
    """Every module of the project by its import name."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join((package, *parts))] = path
    return found


def package_of(module: str) -> str:
    """The package of FOLDERS that a module is in; the name of any other's folder."""
    return max(
        (p for p in FOLDERS if module == p or module.startswith(p + ".")),
        key=len,
        default=module.partition(".")[0],
    )


def imports(module: str, path: Path, known: set[str]):
    """Yields (imported module of the project, relative?, run on import?)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # What a function imports, or a type checker alone, is not run on import.
    inside = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names, relative = [alias.name for alias in node.names], False
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                is_package = path.name == "__init__.py"
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            names = [f"{base}.{alias.name}" for alias in node.names]
            names, relative = [n if n in known else base for n in names], node.level > 0
        else:
            continue
        for name in names:
            if module.startswith("scripts") and f"scripts.{name}" in known:
                name = f"scripts.{name}"
            if name in known or name.partition(".")[0] in TOP:
                yield name, relative, node not in inside


def violations(root: Path) -> list[str]:
    known = modules(root)
    found = []
    for module, path in known.items():
        package = package_of(module)
        for name, relative, _ in imports(module, path, set(known)):
            other = package_of(name)
            if other == package:
                if not relative and package != "scripts":
                    found.append(f"{module} imports {name} of its own by full name")
            elif relative:
                found.append(f"{module} imports {name} relatively")
            elif other not in BELOW[package]:
                found.append(f"{module} imports {name}, which is not below it")
    return found


def circle(root: Path) -> list[str]:
    """A circle among the imports that are run on import, if there is one."""
    known = modules(root)
    graph = {
        module: {
            name
            for name, _, at_top in imports(module, path, set(known))
            # `from . import x` in a package names the package's own __init__.
            if at_top and name != module and name in known
        }
        for module, path in known.items()
    }
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return trail[trail.index(module) :] + [module]
        if module in done:
            return []
        for name in sorted(graph[module]):
            if found := visit(name, [*trail, module]):
                return found
        done.add(module)
        return []

    for module in graph:
        if found := visit(module, []):
            return found
    return []


def test_no_import_from_a_higher_floor():
    assert violations(ROOT) == []


def test_no_import_circle():
    assert circle(ROOT) == []


def test_every_module_is_looked_at():
    assert {"smelu_tf.functional", "smelu_tf.models.configs", "scripts.train"} <= set(
        modules(ROOT)
    )


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("smelu_tf/a.py", "import smelu_tf.models", "not below"),
        ("smelu_tf/a.py", "from .models import b", "smelu_tf.models"),
        ("pipelines/a.py", "def f():\n    import smelu_tf", "not below"),
        ("pipelines/a.py", "from smelu_tf import smelu", "not below"),
        ("models/a.py", "from scripts import b", "not below"),
        ("models/a.py", "import smelu_tf.models.b", "by full name"),
        ("models/a.py", "from ..pipelines import b", "relatively"),
        ("models/a.py", "from pipelines import b", "not below"),
        ("scripts/a.py", "import models.b", "not below"),
    ],
)
def test_a_violation_would_be_found(tmp_path, file, text, message):
    for folder in FOLDERS.values():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
        (tmp_path / folder / "b.py").touch()
    (tmp_path / file).write_text(text)
    (found,) = violations(tmp_path)
    assert message in found


def test_a_circle_would_be_found(tmp_path):
    for folder in FOLDERS.values():
        (tmp_path / folder).mkdir()
    (tmp_path / "models" / "a.py").write_text("from . import b")
    (tmp_path / "models" / "b.py").write_text("from .a import x")
    assert len(circle(tmp_path)) == 3
    for text in ("def f():", "if TYPE_CHECKING:"):
        (tmp_path / "models" / "b.py").write_text(f"{text}\n    from .a import x")
        assert circle(tmp_path) == []


def test_this_python_is_one_that_the_project_supports():
    assert (3, 11) <= sys.version_info[:2] <= (3, 13)
