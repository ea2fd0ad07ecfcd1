"""setup.py: the wheel holds every module and data file of the tree, and no more."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {
    "smelu_tf": "smelu_tf",
    "smelu_tf/pipelines": "pipelines",
    "smelu_tf/models": "models",
}
DATA = {".json", ".typed"}


def tracked_files() -> set[str]:
    """What the wheel must hold, by its path there."""
    expected = set()
    for target, folder in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            if path.suffix == ".py" or path.suffix in DATA or path.name == "py.typed":
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


def test_every_folder_with_modules_is_a_package():
    for folder in FOLDERS.values():
        for path in (ROOT / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path


def test_the_package_list_is_the_tree_s():
    code = "import setup, json; print(json.dumps(sorted(setup.packages())))"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True
    ).stdout
    expected = {
        Path(name).parent.as_posix().replace("/", ".")
        for name in tracked_files()
        if name.endswith(".py")
    }
    assert eval(output) == sorted(expected)


def test_the_wheel_holds_every_file_and_no_other(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    held = {name for name in names if ".dist-info/" not in name}
    assert held == tracked_files()


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
