"""The public names: each has its words, one home and a test; every example is run."""

import contextlib
import doctest
import importlib
import importlib.util
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import example_files
import numpy as np
import pytest
import tensorflow as tf

import smelu_tf
import smelu_tf.models
import smelu_tf.pipelines

ROOT = Path(__file__).parent.parent
PACKAGES = (smelu_tf, smelu_tf.pipelines, smelu_tf.models)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules_with_examples() -> list[str]:
    """Every module with a `>>>`, by its import name."""
    names = {
        module.name
        for package in PACKAGES
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    }
    return [name for name in sorted(names) if ">>> " in source_of(name)]


def source_of(name: str) -> str:
    """The text of a module, which need not be imported for this."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).read_text("utf-8")


def public_names() -> list[tuple[str, str]]:
    """(package, name) of everything that is exported."""
    return [
        (package.__name__, name) for package in PACKAGES for name in package.__all__
    ]


def examples_of(module: types.ModuleType) -> list[doctest.DocTest]:
    """The examples of a module; its own names and the public ones are at hand."""
    names = {"np": np, "tf": tf, "smelu_tf": smelu_tf, **vars(module)}
    for package, name in public_names():
        names[name] = getattr(sys.modules[package], name)
    found = doctest.DocTestFinder(exclude_empty=True).find(module, extraglobs=names)
    return [test for test in found if test.examples]


def failures(module: types.ModuleType) -> list[str]:
    """What is not as the module's examples say."""
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    for test in examples_of(module):
        runner.run(test, out=told.append)
    return told


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    example_files.prepare(folder)
    return folder


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module_are_true(name, prepared, tmp_path):
    module = importlib.import_module(name)
    assert examples_of(module)
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    with contextlib.chdir(tmp_path):
        told = failures(module)
    assert told == []


def test_the_examples_of_the_layers_are_true_in_the_other_keras(tmp_path):
    names = [name for name in modules_with_examples() if name.count(".") == 1]
    names = [name for name in names if not name.endswith(("s.pipelines", "s.models"))]
    code = f"""
import doctest, importlib
import numpy as np
import tensorflow as tf
import smelu_tf
for name in {names}:
    module = importlib.import_module(name)
    names = {{"np": np, "tf": tf, "smelu_tf": smelu_tf, **vars(smelu_tf)}}
    failed, _ = doctest.testmod(module, extraglobs=names, optionflags={OPTIONS})
    assert failed == 0, name
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "TF_USE_LEGACY_KERAS": "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_false_example_would_be_found():
    module = types.ModuleType("invented")
    module.__doc__ = "Doubles.\n\n    >>> 2 * 2\n    5\n"
    (told, *_) = failures(module)
    assert "invented" in told


def test_every_name_is_exported_once():
    homes: dict[str, list[str]] = {}
    for package, name in public_names():
        homes.setdefault(name, []).append(package)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


@pytest.mark.parametrize(("package", "name"), public_names())
def test_every_exported_name_has_its_words_and_an_example(package, name):
    thing = getattr(sys.modules[package], name)
    if not callable(thing) or name.isupper():
        pytest.skip("a constant")
    words = thing.__doc__ or ""
    first = words.strip().partition("\n")[0]
    assert re.match(r"[A-Z`].*[.:;]", words.strip().partition("\n\n")[0], re.DOTALL)
    assert not first.startswith(f"{name}("), "a dataclass's own words are missing"
    assert ">>> " in words or re.search(r"[Ss]ee `[\w.]+`", words), "no example"


def test_every_exported_name_is_named_by_a_test():
    tests = "".join(
        path.read_text("utf-8")
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path.name != Path(__file__).name
    )
    known = set(re.findall(r"\w+", tests))

    def is_tested(package, name):
        # The type of a result is tested with the function that its words refer to.
        words = getattr(sys.modules[package], name).__doc__ or ""
        return name in known or bool(known & set(re.findall(r"[Ss]ee `(\w+)`", words)))

    assert [
        name for package, name in public_names() if not is_tested(package, name)
    ] == []
