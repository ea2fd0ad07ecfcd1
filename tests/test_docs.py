"""docs/*.md: their Python and their commands run, their tables and files are true."""

import re
import shutil
from pathlib import Path

import films_100k
import page_commands
import pytest
import python_code
import script_runs

import smelu_tf
import smelu_tf.models
import smelu_tf.pipelines

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
QUICK = ("activations",)  # the others take longer
PACKAGES = {
    "smelu_tf": smelu_tf,
    "smelu_tf.pipelines": smelu_tf.pipelines,
    "smelu_tf.models": smelu_tf.models,
}


def run_script(name, *flags, cwd):
    returncode, out, err = script_runs.run(name, *flags, cwd=cwd)
    assert returncode == 0, err
    return out


@pytest.mark.parametrize("legacy", ["0", pytest.param("1", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=() if page.stem in QUICK else pytest.mark.slow)
        for page in PAGES
        if "```python\n" in page.read_text("utf-8")
    ],
    ids=lambda page: page.stem,
)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, legacy, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    if legacy == "0" and "TF_USE_LEGACY_KERAS" in blocks[0]:
        pytest.skip("the page says which Keras it takes")
    returncode, output = python_code.run_code(
        "\n".join(blocks), cwd=tmp_path, TF_USE_LEGACY_KERAS=legacy
    )
    assert returncode == 0, output


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory):
    """What `make demo` leaves behind, of few rows; and rows as a user may have them."""
    folder = tmp_path_factory.mktemp("demo")
    run_script("demo.py", "--num_rows=21000", cwd=folder)
    days, blocks = "--data=demo/data/day_[0-5].tsv", "--output_dir=demo/blocks"
    run_script("convert.py", days, blocks, cwd=folder)
    shutil.copy(folder / "demo" / "data" / "day_0.tsv", folder / "train.tsv")
    shutil.copy(folder / "demo" / "data" / "day_1.tsv", folder / "test.tsv")
    films_100k.write(folder / "ml-100k")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page_commands.commands_of(page)],
    ids=lambda page: page.stem,
)
def test_the_commands_of_a_page_run_as_they_stand(page, small_demo, tmp_path):
    folder = tmp_path / "here"
    shutil.copytree(small_demo, folder)
    page_commands.run_commands(page, folder, shorter=page.stem != "tutorial")


def test_what_is_shown_is_run_or_said_not_to_be():
    # `console`: what needs something that is not here, a server or a GPU.
    allowed = {"sh", "python", "console", "json", ""}
    for page in [*PAGES, ROOT / "README.md"]:
        opened = re.findall(r"^```(\w*)", page.read_text("utf-8"), re.M)[::2]
        assert set(opened) <= allowed, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page):
    text = page.read_text("utf-8")
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    folders = "scripts|tests|smelu_tf|models|pipelines"
    paths = re.findall(rf"\b((?:{folders})/[\w/]+\.py)\b", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing + [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_its_place_in_the_reference(package):
    page = ROOT / "docs" / "reference" / f"{package.rpartition('.')[2]}.md"
    text = page.read_text("utf-8")
    entries = re.findall(r"^::: ([\w.]+)$", text, re.M)
    # The classes of both Kerases have their words from a mixin.
    named = [entry.rpartition(".")[2].removesuffix("Mixin") for entry in entries]
    assert sorted(set(named)) == sorted(named)
    names = PACKAGES[package].__all__
    constants = {name for name in names if name.isupper() and name != "RESCU"}
    constants |= {"metrics"}
    for name in constants & set(names):
        assert f"`{name}`" in text or f".{name}." in text
    assert set(names) - constants <= set(named)


def test_the_pages_are_all_in_the_table_of_contents():
    contents = (ROOT / "mkdocs.yml").read_text("utf-8")
    named = set(re.findall(r": ([\w/]+\.md)$", contents, re.M))
    assert named == {str(page.relative_to(ROOT / "docs")) for page in PAGES}


@pytest.mark.slow
def test_figures_and_the_table_of_widths_come_from_the_script(tmp_path):
    out = run_script("draw_activations.py", f"--output_dir={tmp_path}", cwd=tmp_path)
    page = (ROOT / "docs" / "activations.md").read_text("utf-8")
    table = out[out.index("| β ") :].strip()
    assert table in page
    for name in re.findall(r"images/(\w+\.png)", page):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert (ROOT / "docs" / "images" / name).exists()
