"""pipelines/generated_days.py: the files, and the truth beside them."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from criteo_rows import reference_metrics

from smelu_tf.pipelines import generate
from smelu_tf.pipelines.generator import generate_rows

LINE = re.compile(
    rb"[01]"
    rb"(?:\t(?:0|-?[1-9][0-9]{0,7})?){13}"  # no leading zero, no -0
    rb"(?:\t(?:[0-9a-f]{8})?){26}\n"
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    return folder, generate(folder, num_rows=30_000, seed=3, num_days=3)


def test_files_hold_the_rows_of_their_day(small):
    _, report = small
    for day, path in enumerate(report.paths):
        part = generate_rows(day * 10_000, (day + 1) * 10_000, 30_000, seed=3)
        assert Path(path).read_bytes() == part.to_text()


def test_same_seed_gives_the_same_bytes_and_another_seed_others(small, tmp_path):
    _, report = small
    again = generate(tmp_path / "a", 30_000, seed=3, num_days=3)
    other = generate(tmp_path / "b", 30_000, seed=4, num_days=3)

    def contents(a_report):
        paths = (*a_report.paths, a_report.truth_path)
        return [Path(path).read_bytes() for path in paths]

    assert contents(again) == contents(report)
    assert all(a != b for a, b in zip(contents(again), contents(other), strict=True))


def test_lines_are_well_formed(small):
    _, report = small
    for path in report.paths:
        lines = Path(path).read_bytes().splitlines(keepends=True)
        assert len(lines) == 10_000
        assert all(LINE.fullmatch(line) for line in lines)


def test_truth_is_that_of_an_independent_oracle(small):
    folder, _ = small
    truth = json.loads((folder / "truth.json").read_text())
    edges = [(0, 30_000), (0, 10_000), (10_000, 20_000), (20_000, 30_000)]
    for figures, (start, stop) in zip(
        [truth["overall"], *truth["days"]], edges, strict=True
    ):
        rows = generate_rows(start, stop, 30_000, seed=3)
        expected = reference_metrics(rows)
        # 1e-5: pairs within one of the 16,384 bins count half.
        assert figures.pop("auc") == pytest.approx(expected.pop("auc"), abs=1e-5)
        assert figures == pytest.approx(expected, rel=1e-12)


def test_report_is_what_was_written(small):
    folder, report = small
    assert [*report.paths, report.truth_path] == [
        str(folder / name)
        for name in ("day_0.tsv", "day_1.tsv", "day_2.tsv", "truth.json")
    ]
    truth = json.loads((folder / "truth.json").read_text())
    values = json.loads(json.dumps(dataclasses.asdict(report)))
    assert (values["overall"], values["days"]) == (truth["overall"], truth["days"])
    assert values["overall"]["num_rows"] == 30_000


def test_days_differ_by_one_row_at_most(tmp_path):
    report = generate(tmp_path, num_rows=1003, num_days=7)
    sizes = [day.num_rows for day in report.days]
    assert sum(sizes) == 1003
    assert max(sizes) - min(sizes) <= 1


def test_progress_counts_every_row(tmp_path):
    steps = []
    generate(tmp_path, 20_000, num_days=2, progress=steps.append)
    assert steps == sorted(set(steps))
    assert steps[-1] == 20_000
    assert len(steps) > 2


def test_interrupted_run_leaves_nothing_half_written(tmp_path):
    (tmp_path / "truth.json").write_text("{}")
    (tmp_path / "day_1.tsv").write_text("an earlier day")
    (tmp_path / "notes.txt").write_text("mine")

    def interrupt(num_rows):
        if num_rows > 12_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, 20_000, num_days=2, progress=interrupt)
    # Day 0 was complete; the earlier day 1 stays whole; no truth of other days.
    assert {path.name for path in tmp_path.iterdir()} == {
        "day_0.tsv",
        "day_1.tsv",
        "notes.txt",
    }
    assert (tmp_path / "day_0.tsv").read_bytes().count(b"\n") == 10_000
    assert (tmp_path / "day_1.tsv").read_text() == "an earlier day"


def test_other_files_of_the_folder_stay(tmp_path):
    (tmp_path / "day_0.tsv").write_text("old")
    (tmp_path / "model.bin").write_text("mine")
    generate(tmp_path, 100, num_days=1)
    assert {path.name for path in tmp_path.iterdir()} == {
        "day_0.tsv",
        "model.bin",
        "truth.json",
    }
    assert (tmp_path / "model.bin").read_text() == "mine"
    assert (tmp_path / "day_0.tsv").read_bytes().count(b"\n") == 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_rows": 6}, "num_rows: expected at least one row .* received 6"),
        ({"num_days": 0}, "num_days: expected at least 1, received 0"),
        ({"seed": -1}, "seed: expected .* received -1"),
        ({"seed": 2**64}, "seed: expected .* received 18446744073709551616"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(
    tmp_path, arguments, message
):
    with pytest.raises(ValueError, match=message):
        generate(tmp_path / "out", **arguments)
    if "seed" in arguments:
        with pytest.raises(ValueError, match=message):
            generate_rows(0, 1, **arguments)
    assert not (tmp_path / "out").exists()


def test_rows_do_not_depend_on_the_number_of_files(tmp_path):
    texts = []
    for num_days in (1, 4):
        folder = tmp_path / str(num_days)
        report = generate(folder, 20_000, seed=3, num_days=num_days)
        texts.append(b"".join(Path(path).read_bytes() for path in report.paths))
    assert texts[0] == texts[1]
