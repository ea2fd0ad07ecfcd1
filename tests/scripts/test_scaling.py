"""scripts/scaling.py: its tables, its JSON, and what it refuses."""

import json
import re
from pathlib import Path

import pytest
from script_runs import run

COMPILED = {
    "topology": "v5e:2x2",
    "num_chips": 4,
    "batch_size": 4096,
    "flops": 197e9,
    "bytes_accessed": 1e9,
    "peak_bytes": 2e9,
    "all_reduce_bytes": 9e7,
}

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"


@pytest.mark.slow
def test_the_page_has_what_the_script_prints():
    code, out, err = run("scaling.py")
    assert code == 0, err
    page = PAGE.read_text("utf-8")
    for block in out.strip().split("\n\n"):
        if not block.startswith("Published"):
            assert block in page


@pytest.mark.slow
def test_json_holds_predictions_and_all_that_they_follow_from(tmp_path):
    preflight = tmp_path / "preflight.json"
    preflight.write_text(json.dumps(COMPILED))
    code, out, err = run(
        "scaling.py",
        "--json",
        "--chips=v5e:4x4,v5e:1x1,h100:8",
        f"--preflight={preflight}",
        "--compute_efficiency=1",
        "--price_per_chip_hour=2",
        "--num_examples=655360",
        "--config.model.embedding_dim=64",
    )
    assert code == 0, err
    figures = json.loads(out)
    first, second = figures["predictions"]
    assert (first["name"], second["name"]) == ("v5e:4x4", "h100:8")
    assert first["dense_origin"] == "preflight.json, compiled for 4 chips of v5e:2x2"
    assert first["compute_seconds"] == pytest.approx(0.001)
    assert second["dense_origin"] == "counted"
    assert (first["num_steps"], first["price_per_hour"]) == (10, 32)
    (shortage,) = figures["shortages"]
    assert re.match(
        r"v5e:1x1: expected at most 14\.4 GB .*; 2 chips would do", shortage
    )
    assert figures["assumptions"]["compute_efficiency"] == 1
    assert figures["workload"]["tables"][0]["width"] == 64
    assert set(figures["accelerators"]) == {"v5e", "h100"}


@pytest.mark.slow
def test_bad_arguments_are_one_line(tmp_path):
    preflight = tmp_path / "preflight.json"
    preflight.write_text(json.dumps(COMPILED))
    for arguments, message in (
        (
            ("--chips=v9:4x4",),
            "accelerator: expected one of v4, v5e, v5p, v6e, h100, re",
        ),
        (
            ("--chips=v5e:2x4", f"--preflight={preflight}"),
            "--preflight: expected a program for one of v5e:2x4 and its part of 65536 "
            "examples, received preflight.json, compiled for 4 chips of v5e:2x2, of "
            "4096.",
        ),
    ):
        code, out, err = run("scaling.py", *arguments)
        assert (code, out) == (2, "")
        assert message in err and len(err.splitlines()) == 1
