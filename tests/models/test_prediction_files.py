"""models/prediction_files.py and difference_report.py, on files written here."""

import json

import numpy as np
import pytest

import smelu_tf
from smelu_tf.models import (
    Predictions,
    difference_report,
    read_prediction_files,
    write_predictions,
)

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")

LABELS = (np.arange(300) % 4 == 0).astype(np.float32)


def predictions(seed, spread=0.2):
    """What a model predicts of 300 rows."""
    common = np.random.default_rng(0).normal(-2, 1, 300)
    logit = common + np.random.default_rng(seed).normal(0, spread, 300)
    logit = logit.astype(np.float32)
    return Predictions(LABELS, (1 / (1 + np.exp(-logit))).astype(np.float32), logit)


@pytest.fixture
def paths(tmp_path):
    """Files of four models, whose predictions have the seeds 1 to 4."""
    found = []
    for seed in range(1, 5):
        found.append(tmp_path / f"model_{seed}.parquet")
        chunks = [
            Predictions(*(column[rows] for column in predictions(seed)))
            for rows in (slice(0, 100), slice(100, 300))
        ]
        write_predictions(found[-1], chunks)
    return found


def rewritten(path, **columns):
    """The file with other columns; None takes one away."""
    table = pyarrow.parquet.read_table(path)
    table = {name: table[name] for name in table.column_names} | columns
    kept = {name: column for name, column in table.items() if column is not None}
    pyarrow.parquet.write_table(pyarrow.table(kept), path)


def test_files_are_read_as_they_were_written(paths):
    files = read_prediction_files(paths)
    assert files.paths == tuple(map(str, paths))
    assert files.rows.tolist() == list(range(300))
    np.testing.assert_array_equal(files.labels, LABELS)
    for i, seed in enumerate(range(1, 5)):
        expected = predictions(seed)
        np.testing.assert_array_equal(files.probabilities[i], expected.probability)
        np.testing.assert_array_equal(files.logits[i], expected.logit)


def test_other_columns_and_number_types_are_taken(paths):
    rewritten(paths[1], label=pyarrow.array(LABELS.astype(np.int8)), more=["x"] * 300)
    files = read_prediction_files(paths[:2])
    assert files.probabilities.dtype == files.labels.dtype == np.float32


def test_log_losses_are_those_of_the_probabilities(paths):
    files = read_prediction_files(paths)
    for p, loss in zip(
        files.probabilities.astype(float), files.log_losses(), strict=True
    ):
        expected = -np.mean(np.log(np.where(LABELS == 1, p, 1 - p)))
        assert loss == pytest.approx(expected, rel=1e-6)


def changed(values, place, value):
    values = values.copy()
    values[place] = value
    return values


ROWS = np.arange(300)
PROBABILITY = np.full(300, 0.1, np.float32)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"logit": None}, r"expected a column logit, .* \(row, label, probability\)"),
        ({"row": changed(ROWS, 7, 8)}, "place 7: expected the row 7, as .*model_1"),
        ({"row": ROWS[::-1]}, "place 0: expected the row 0, .* received 299"),
        (
            {"row": changed(ROWS, 7, 1_234_567)},
            "place 7: expected the row 7, .* received 1234567",
        ),
        (
            {"label": changed(LABELS, 4, 0.0)},
            "place 4: expected the label 1, .* received 0",
        ),
        (
            {"label": changed(LABELS, 5, 0.5)},
            "place 5, column label: expected 0 or 1, received 0.5",
        ),
        (
            {"probability": changed(PROBABILITY, 3, 1.5)},
            "place 3, column probability: expected 0 to 1, received 1.5",
        ),
        (
            {"probability": pyarrow.array([None] + [0.1] * 299)},
            "place 0, column probability: expected 0 to 1, received nan",
        ),
        (
            {"logit": changed(PROBABILITY, 2, np.inf)},
            "place 2, column logit: expected a finite number, received inf",
        ),
        ({"row": ROWS + 0.5}, "column row: expected whole numbers, received double"),
        (
            {"row": pyarrow.array([None, *range(1, 300)])},
            "column row: expected whole numbers, received int64 with 1 nulls",
        ),
        ({"logit": ["a"] * 300}, "column logit: expected numbers, received string"),
    ],
)
def test_a_file_that_does_not_fit_is_named(paths, columns, message):
    rewritten(paths[1], **columns)
    with pytest.raises(ValueError, match=rf"model_2\.parquet.*{message}"):
        read_prediction_files(paths)


def test_files_of_other_lengths_are_refused(paths, tmp_path):
    short = tmp_path / "short.parquet"
    write_predictions(short, [Predictions(*(c[:10] for c in predictions(1)))])
    with pytest.raises(ValueError, match="short.parquet: expected 300 rows, as .* 10"):
        read_prediction_files([paths[0], short])
    empty = pyarrow.parquet.read_table(short).slice(0, 0)
    pyarrow.parquet.write_table(empty, short)
    with pytest.raises(ValueError, match="short.parquet: expected rows, received none"):
        read_prediction_files([short, paths[0]])


def test_one_file_alone_or_twice_is_refused(paths, tmp_path):
    with pytest.raises(ValueError, match="2 or more, one a model, received .*model_1"):
        read_prediction_files(paths[:1])
    link = tmp_path / "link.parquet"
    link.symlink_to(paths[0])
    with pytest.raises(ValueError, match="link.parquet: expected different files"):
        read_prediction_files([*paths, link])


def test_what_is_no_parquet_file_is_refused(paths, tmp_path):
    text = tmp_path / "text.parquet"
    text.write_text("row,label\n")
    for path in (text, tmp_path / "none.parquet"):
        with pytest.raises(ValueError, match=f"{path.name}: expected a Parquet file"):
            read_prediction_files([paths[0], path])
    bytes_ = bytearray(paths[1].read_bytes())
    bytes_[4:2000] = bytes(1996)
    paths[1].write_bytes(bytes_)
    with pytest.raises(ValueError, match=r"model_2\.parquet, column row: expected val"):
        read_prediction_files(paths)


def test_a_report_has_the_package_s_own_figures(paths):
    files = read_prediction_files(paths)
    report = difference_report(files, ["relative", "logit", "hamming"], threshold=0.2)
    assert json.dumps(report, allow_nan=False)
    assert (report["num_models"], report["num_examples"]) == (4, 300)
    relative = report["kinds"]["relative"]
    expected = smelu_tf.bootstrap_interval(files.probabilities)
    assert relative["mean"] == pytest.approx(expected.estimate, rel=1e-12)
    assert relative["interval"]["low"] == expected.low
    logits = smelu_tf.summarize_prediction_difference(
        files.logits, kind=smelu_tf.DifferenceKind("logit", from_logits=True)
    )
    assert report["kinds"]["logit"]["quantiles"] == logits.quantiles
    above = files.probabilities > 0.2
    differ = np.mean([above[i] != above[j] for i in range(4) for j in range(i)])
    assert report["kinds"]["hamming"]["mean"] == pytest.approx(differ, rel=1e-12)


def test_slices_are_of_the_first_kind_and_hold_every_row(paths):
    files = read_prediction_files(paths)
    report = difference_report(
        files, ["absolute", "logit"], num_slices=5, by_label=True
    )
    assert list(report["slices"]) == ["probability", "label"]
    assert [part["name"] for part in report["slices"]["label"]] == ["0", "1"]
    for parts in report["slices"].values():
        assert sum(part["num_examples"] for part in parts) == 300
        total = sum(part["num_examples"] * part["mean"] for part in parts)
        mean = report["kinds"]["absolute"]["mean"]
        assert total / 300 == pytest.approx(mean, rel=1e-9)
        assert all(part["interval"]["low"] < part["mean"] for part in parts)
    none = difference_report(files, num_slices=0)
    assert none["slices"] == {}


def test_two_models_have_no_intervals(paths):
    report = difference_report(read_prediction_files(paths[:2]))
    assert report["kinds"]["relative"]["interval"] is None
    assert report["slices"]["probability"][0]["interval"] is None


@pytest.mark.parametrize("num_models", [2, 3])
def test_the_ratio_is_that_of_the_means(paths, tmp_path, num_models):
    others = []
    for seed in range(10, 10 + num_models):
        others.append(tmp_path / f"other_{seed}.parquet")
        write_predictions(others[-1], [predictions(seed, spread=0.4)])
    files, reference = map(read_prediction_files, (paths[:3], others))
    report = difference_report(files, ["relative", "logit"], reference=reference)
    for name in ("relative", "logit"):
        ratio = report["ratios"][name]
        means = [r["kinds"][name]["mean"] for r in (report, report["reference"])]
        assert ratio["estimate"] == pytest.approx(means[0] / means[1], rel=1e-12)
        assert 0.4 < ratio["estimate"] < 0.6
        assert (ratio["low"] is None) == (num_models < 3)
    assert report["reference"]["num_models"] == num_models


def test_a_reference_that_does_not_fit_is_refused(paths, tmp_path):
    files, same = read_prediction_files(paths), []
    for i in range(2):
        same.append(tmp_path / f"same_{i}.parquet")
        write_predictions(same[-1], [predictions(1)])
    with pytest.raises(
        ValueError, match="prediction difference .* above 0, received 0"
    ):
        difference_report(files, reference=read_prediction_files(same))
    for path in same:
        rewritten(path, label=1 - LABELS)
    with pytest.raises(ValueError, match="same_0.parquet, place 0: expected the label"):
        difference_report(files, reference=read_prediction_files(same))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(kinds=[]), "kinds: expected 1 or more, received none"),
        (dict(kinds=["no"]), "kind: expected one of relative"),
        (dict(num_slices=-1), "num_slices: expected 0 or more, received -1"),
        (dict(bootstrap=smelu_tf.Bootstrap("both")), "over: expected models"),
    ],
)
def test_a_report_that_cannot_be_is_refused(paths, options, message):
    with pytest.raises(ValueError, match=message):
        difference_report(read_prediction_files(paths), **options)
