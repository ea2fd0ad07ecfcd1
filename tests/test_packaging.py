"""setup.py: the wheel holds every module and data file of the tree, and no more."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
FOLDERS = {
    "smelu_tf": "smelu_tf",
    "smelu_tf/pipelines": "pipelines",
    "smelu_tf/models": "models",
}


def expected_files() -> set[str]:
    """What the wheel must hold, by its path there."""
    expected = set()
    for target, folder in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                expected.add(f"{target}/{path.relative_to(ROOT / folder).as_posix()}")
    return expected


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the tree, without a network."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for folder in FOLDERS.values():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                target = source / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "-w", str(target), str(source)]
    subprocess.run(command, check=True)
    (path,) = target.glob("smelu_tf-*.whl")
    return path


def printed(expression: str) -> str:
    """What an expression of setup.py prints."""
    code = f"import json, setup; print({expression})"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout


def test_every_folder_with_modules_is_a_package():
    for folder in FOLDERS.values():
        for path in (ROOT / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path


def test_the_package_list_is_the_tree_s():
    output = printed("json.dumps(sorted(setup.packages()))")
    expected = {
        Path(name).parent.as_posix().replace("/", ".")
        for name in expected_files()
        if name.endswith(".py")
    }
    assert json.loads(output) == sorted(expected)


def test_the_wheel_holds_every_file_and_no_other(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    held = {name for name in names if ".dist-info/" not in name}
    assert held == expected_files()


def test_the_wheel_has_the_version_that_the_package_says(wheel):
    line = next(
        line
        for line in (ROOT / "smelu_tf" / "__init__.py").read_text().splitlines()
        if line.startswith("__version__")
    )
    assert wheel.name.split("-")[1] == line.split('"')[1]


def test_every_dependency_is_pinned_within_its_bounds(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("/METADATA")]
        lines = archive.read(name).decode().partition("\n\n")[0].splitlines()
    required = [
        Requirement(line.partition(":")[2])
        for line in lines
        if line.startswith("Requires-Dist:")
    ]
    pins = {
        pin.name: pin.specifier
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
        for pin in [Requirement(line)]
    }
    assert required
    for requirement in required:
        (pin,) = pins[canonicalize_name(requirement.name)]
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), requirement


def test_the_unpacked_wheel_works_outside_the_repo(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = f"""
import sys
# An editable install's finder would lend the modules that the wheel lacks.
sys.meta_path = [f for f in sys.meta_path if "editable" not in getattr(
    f, "__module__", getattr(f, "__name__", "")).lower()]
sys.path.insert(0, {str(site)!r})
import smelu_tf, smelu_tf.models, smelu_tf.pipelines
for module in [m for n, m in sys.modules.items() if n.split(".")[0] == "smelu_tf"]:
    assert module.__file__.startswith({str(site)!r}), module
smelu_tf.pipelines.generate({str(tmp_path / "data")!r}, num_rows=70)
"""
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True
    )


def test_the_extras_that_are_named_exist():
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    files += [p for name in FOLDERS.values() for p in (ROOT / name).rglob("*.py")]
    text = "".join(path.read_text("utf-8") for path in files)
    named = re.findall(r"smelu-tf\[([\w,-]+)\]", text)
    assert named
    extras = {extra for names in named for extra in names.split(",")}
    assert extras <= set(printed("*setup.EXTRAS").split())
