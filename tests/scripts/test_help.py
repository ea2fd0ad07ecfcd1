"""What --help of every script shows, and that each main only wires."""

import re

import pytest
from script_runs import SCRIPTS, run

NAMES = sorted(
    path.name
    for path in SCRIPTS.glob("*.py")
    if "__main__" in path.read_text() and path.name != "score_lines.py"
)


QUICK = {"train.py", "generate.py", "prediction_difference.py"}


@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES],
)
def test_help_is_the_docstring_and_every_flag(name, tmp_path):
    code, out, err = run(name, "--help", cwd=tmp_path)
    assert code == 0
    source = (SCRIPTS / name).read_text()
    assert source.split('"""')[1].splitlines()[0] in out
    flags = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source))
    if "define_scoring_flags" in source:
        flags |= {"model", "data", "max_bad_rows", "rejects", "batch_size"}
    if "define_config" in source:
        flags.add("config")
    assert [flag for flag in flags if not re.search(rf"--(\[no\])?{flag}:", out)] == []


def test_scripts_have_a_short_main():
    for name in NAMES:
        source = (SCRIPTS / name).read_text()
        body = re.split(r"def main\(.*\) -> None:", source)[1].split("\n\n\n")[0]
        assert len(body.splitlines()) <= 40, name
