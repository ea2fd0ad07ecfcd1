"""scripts/figures/reproducibility.py: a study's report as a page, in a browser too."""

import html
import json
import re
import shutil
import subprocess

import pytest
from made_reports import made_report, small_report
from script_modules import script_module

from smelu_tf.models import Study

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def reproducibility():
    pytest.importorskip("matplotlib")
    return script_module("figures.reproducibility")


@pytest.fixture(scope="module")
def page(reproducibility):
    """Of many cells with long names, and of two sources of variation."""
    study = Study(
        ("relu", "smelu:0.25", "smelu:0.5", "smelu:1", "gsmelu:g_minus=0.2:t=-0.2"),
        ("none", "layer_norm+model.dropout=0.1"),
        (0.001, 0.002),
        ("init", "order"),
    )
    return reproducibility.page(made_report(study))


def test_the_page_needs_nothing_else(page):
    assert not re.search(r"<(script|link|img|iframe|object)|@import|\ssrc=", page)
    links = re.findall(r'(?:href="|url\()([^")]*)', page)
    assert links and all(link.startswith("#") for link in links)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)
    assert page.count("<svg") == 8 and page.count("<tr>") == 2 + 20 + 40
    assert '<meta name="viewport" content="width=device-width' in page


def test_all_text_is_escaped(reproducibility):
    hostile = small_report()
    text = "<b>$x & \"y'$"
    for cell in (*hostile["cells"], *hostile["best"]):
        if cell["activation"] != "relu":
            cell["technique"] = text
    hostile["data"]["train"] = text
    page = reproducibility.page(hostile)
    assert "<b>" not in page
    assert html.escape(text) in page


def test_two_replicas_and_one_rate_make_a_page_too(reproducibility):
    study = Study(("relu", "smelu:1"), learning_rates=(0.001,), num_replicas=2)
    page = reproducibility.page(made_report(study, num_models=2))
    assert page.count("<svg") == 3  # one rate makes no curve


def test_a_page_is_written_whole_or_not_at_all(reproducibility, tmp_path):
    module = reproducibility
    path = tmp_path / "report.html"
    path.write_text("before")
    with pytest.raises(KeyError):
        module.write_page({**small_report(), "num_rows": {}}, path)
    assert path.read_text() == "before"
    with pytest.raises(ValueError, match="not JSON compliant"):
        module.write_json({"x": float("nan")}, tmp_path / "report.json")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_report_that_is_not_there_is_named(reproducibility, tmp_path):
    with pytest.raises(ValueError, match=r"x\.json: expected the report\.json of a st"):
        reproducibility.read_json(tmp_path / "x.json")


WRAPPER = """<!DOCTYPE html><meta charset="utf-8">
<iframe style="width: {width}px; height: 800px; border: 0" srcdoc="{page}"></iframe>
<pre></pre>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement;
  const found = {{
    client: root.clientWidth, scroll: root.scrollWidth, wide: [], crossed: [],
    tables: [...page.querySelectorAll(".scroll")].map(
      box => [box.clientWidth, box.scrollWidth]),
  }};
  for (const svg of page.querySelectorAll("svg")) {{
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map(
      text => [text.textContent, text.getBoundingClientRect()]);
    for (const [i, [text, box]] of texts.entries()) {{
      if (box.left < frame.left - 1 || box.right > frame.right + 1)
        found.wide.push(text);
      for (const [other, b] of texts.slice(0, i))
        if (Math.min(box.right, b.right) - Math.max(box.left, b.left) > 1.5 &&
            Math.min(box.bottom, b.bottom) - Math.max(box.top, b.top) > 3)
          found.crossed.push([text, other]);
    }}
  }}
  document.querySelector("pre").textContent = JSON.stringify(found);
}};
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_phone_and_a_desk(page, tmp_path, width):
    path = tmp_path / "wrapper.html"
    wrapper = WRAPPER.format(width=width, page=html.escape(page))
    path.write_text(wrapper, encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    (text,) = re.findall(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)
    found = json.loads(html.unescape(text))
    assert found["client"] in (width, width - 15)  # a scroll bar
    assert found["scroll"] <= found["client"]
    assert len(found["tables"]) == 2
    if width == 390:
        assert all(scroll > client for client, scroll in found["tables"])
    assert found["wide"] == []
    assert found["crossed"] == []
