"""The generator against Criteo's published figures and independent oracles.

Tolerances: a rate over n rows gets five binomial standard deviations beside the
stated slack for what the generator approximates on purpose.
"""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from smelu_tf.pipelines import generator

NUM_ROWS = 400_000
INTEGERS = [f"I{i}" for i in range(1, 14)]
CATEGORICALS = [f"C{i}" for i in range(1, 27)]
STATISTICS = generator._statistics()
LINE = re.compile(
    rb"[01]"
    rb"(?:\t(?:0|-?[1-9][0-9]{0,7})?){13}"  # no leading zero, no -0
    rb"(?:\t(?:[0-9a-f]{8})?){26}\n"
)


@pytest.fixture(scope="module")
def rows():
    return generator.generate_rows(0, NUM_ROWS)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    return folder, generator.generate(folder, num_rows=30_000, seed=3, num_days=3)


def present(rows, name):
    """The values of a column that are not missing."""
    values, missing = column(rows, name)
    return values[~missing]


def column(rows, name):
    """A column's values and which of them are missing."""
    if name in INTEGERS:
        j = INTEGERS.index(name)
        return rows.numeric[:, j], rows.numeric_missing[:, j]
    j = CATEGORICALS.index(name)
    return rows.categorical[:, j], rows.categorical_missing[:, j]


def assert_same_rows(actual, expected):
    for field in dataclasses.fields(expected):
        np.testing.assert_array_equal(
            getattr(actual, field.name), getattr(expected, field.name)
        )


def five_sigma(rate, count):
    """Five standard deviations of a rate over `count` independent rows."""
    return 5 * np.sqrt(rate * (1 - rate) / count) + 1e-12


# ------------------------------------------------------------------ determinism


@pytest.mark.parametrize("cuts", [[1, 4095, 4096, 4097], [5000, 12_000], [8192]])
def test_rows_do_not_depend_on_how_they_are_cut(cuts):
    whole = generator.generate_rows(0, 13_000, 20_000)
    edges = [0, *cuts, 13_000]
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        part = generator.generate_rows(start, stop, 20_000)
        assert_same_rows(part, generator._sliced(whole, start, stop))


def test_files_hold_the_rows_of_their_day(small):
    _, report = small
    for day, path in enumerate(report.paths):
        part = generator.generate_rows(day * 10_000, (day + 1) * 10_000, 30_000, seed=3)
        assert Path(path).read_bytes() == part.to_text()


def test_same_seed_gives_the_same_bytes_and_another_seed_others(small, tmp_path):
    _, report = small
    again = generator.generate(tmp_path / "a", 30_000, seed=3, num_days=3)
    other = generator.generate(tmp_path / "b", 30_000, seed=4, num_days=3)

    def contents(a_report):
        paths = (*a_report.paths, a_report.truth_path)
        return [Path(path).read_bytes() for path in paths]

    assert contents(again) == contents(report)
    assert all(a != b for a, b in zip(contents(again), contents(other), strict=True))


def test_blocks_are_independent_streams():
    rows = generator.generate_rows(0, 8192, 8192)
    first, second = rows.numeric[:4096, 4], rows.numeric[4096:, 4]
    correlation = np.corrcoef(np.log1p(first), np.log1p(second))[0, 1]
    assert abs(correlation) < 5 / np.sqrt(4096)


def test_no_rows_have_no_length():
    rows = generator.generate_rows(7, 7)
    assert len(rows) == 0
    assert rows.to_text() == b""


# ------------------------------------------------------------------------- text


def test_lines_are_well_formed(small):
    _, report = small
    for path in report.paths:
        lines = Path(path).read_bytes().splitlines(keepends=True)
        assert len(lines) == 10_000
        assert all(LINE.fullmatch(line) for line in lines)


def test_text_is_that_of_plain_formatting():
    rows = generator.generate_rows(0, 3000)
    expected = []
    for i in range(len(rows)):
        fields = [str(rows.label[i])]
        for name in INTEGERS:
            values, missing = column(rows, name)
            fields.append("" if missing[i] else str(values[i]))
        for name in CATEGORICALS:
            values, missing = column(rows, name)
            fields.append("" if missing[i] else f"{values[i]:08x}")
        expected.append("\t".join(fields) + "\n")
    assert rows.to_text().decode() == "".join(expected)


@pytest.mark.parametrize("value", [-3, 0, 9, 10, 9_999, 10_000, 10_203, 23_159_456])
def test_integers_of_any_length_are_written_in_full(value):
    rows = generator.generate_rows(0, 1)
    rows = dataclasses.replace(
        rows,
        numeric=np.full((1, 13), value),
        numeric_missing=np.zeros((1, 13), bool),
    )
    assert rows.to_text().split(b"\t")[1:14] == [str(value).encode()] * 13


# ---------------------------------------------------------------------- realism


@pytest.mark.parametrize("name", INTEGERS + CATEGORICALS)
def test_missing_rate(rows, name):
    expected = {**STATISTICS["integer"], **STATISTICS["categorical"]}[name]["missing"]
    # The slack: the latents behind some groups drift, and the columns of a group
    # take the rate of its first.
    slack = 0.003 if expected else 0
    rate = column(rows, name)[1].mean()
    assert rate == pytest.approx(expected, abs=slack + five_sigma(expected, NUM_ROWS))


@pytest.mark.parametrize("group", STATISTICS["missing_together"], ids="-".join)
def test_columns_are_missing_together(rows, group):
    first = column(rows, group[0])[1]
    for name in group[1:]:
        np.testing.assert_array_equal(column(rows, name)[1], first)


@pytest.mark.parametrize("name", INTEGERS)
def test_quantiles_of_integers(rows, name):
    values, figures = present(rows, name), STATISTICS["integer"][name]
    # The slack is in probability: rounding to integers moves it, and missingness
    # depends a little on the same latents.
    for p in (25, 50, 75, 95):
        quantile = figures[f"q{p}"]
        assert np.mean(values < quantile) - 0.02 <= p / 100
        assert np.mean(values <= quantile) + 0.02 >= p / 100
    assert values.min() >= figures["min"]
    assert 3 * figures["q95"] <= values.max() <= figures["max"]  # a heavy tail


def test_only_the_second_integer_is_ever_negative(rows):
    negative = (rows.numeric < 0).any(axis=0)
    assert [name for name, n in zip(INTEGERS, negative, strict=True) if n] == ["I2"]


@pytest.mark.parametrize("name", CATEGORICALS)
def test_shares_of_the_most_popular_values(rows, name):
    counts = np.sort(np.unique(present(rows, name), return_counts=True)[1])[::-1]
    shares = np.cumsum(counts) / counts.sum()
    for top in (1, 10, 100, 1000):
        expected = STATISTICS["categorical"][name][f"top{top}"]
        # Correlation with missingness (C22) and the smooth curve between the known
        # ranks (C11) cost up to 0.03.
        assert shares[min(top, len(shares)) - 1] == pytest.approx(expected, abs=0.035)


@pytest.mark.parametrize("name", CATEGORICALS)
def test_number_of_distinct_values(rows, name):
    figures = STATISTICS["categorical"][name]
    values, missing = column(rows, name)
    values = values[:100_000][~missing[:100_000]]
    # Criteo's neighbouring rows repeat values more than independent rows do.
    ratio = len(np.unique(values)) / figures["distinct_per_100k"]
    assert 0.6 < ratio < 2.1
    newcomers = 1.1  # a tenth of the ranks changes hands
    assert len(np.unique(values)) <= newcomers * figures["vocabulary_size"]


def test_no_two_columns_share_a_value(rows):
    distinct = [np.unique(present(rows, name)) for name in CATEGORICALS]
    assert len(np.unique(np.concatenate(distinct))) == sum(map(len, distinct))


@pytest.mark.parametrize("name", CATEGORICALS)
def test_share_of_values_unseen_before_the_last_day(rows, name):
    values, missing = column(rows, name)
    cut = NUM_ROWS * 6 // 7
    before, last = values[:cut][~missing[:cut]], values[cut:][~missing[cut:]]
    expected = STATISTICS["unseen_on_last_day"].get(name, 0)
    # The slack: the drift moves the last day towards rarer values.
    assert np.mean(~np.isin(last, before)) == pytest.approx(expected, abs=0.03)


def test_some_popular_values_appear_only_from_a_later_day(rows):
    cut = NUM_ROWS * 6 // 7
    values = rows.categorical[:, CATEGORICALS.index("C10")]
    last, counts = np.unique(values[cut:], return_counts=True)
    new = ~np.isin(last, values[:cut])
    assert counts[new].max() > 20  # chance alone leaves values of one or two rows


def test_popularity_drifts_moderately(rows):
    values, missing = column(rows, "C3")
    top = np.bincount(np.unique(values[~missing], return_inverse=True)[1]).argmax()
    top = np.unique(values[~missing])[top]
    day = NUM_ROWS // 7
    first, last = np.mean(values[:day] == top), np.mean(values[-day:] == top)
    assert 1.1 < first / last < 2


def test_columns_of_one_latent_depend_on_each_other(rows):
    fine, coarse = present(rows, "C12"), present(rows, "C24")
    value, count = np.unique(fine, return_counts=True)
    popular = fine == value[count.argmax()]
    among = np.unique(coarse[popular], return_counts=True)[1].max() / popular.sum()
    overall = np.unique(coarse, return_counts=True)[1].max() / len(coarse)
    assert among > 5 * overall


# ------------------------------------------------------------------- the clicks


def test_click_rate(rows):
    rate = rows.label.mean()
    assert rate == pytest.approx(STATISTICS["click_rate"], abs=0.005)
    days = np.array([part.mean() for part in np.array_split(rows.label, 7)])
    assert 0.01 < np.ptp(days) < 0.06  # it drifts, moderately


@pytest.mark.parametrize("group", STATISTICS["click_rate_missing_present"])
def test_click_rate_given_missing_and_present(rows, group):
    missing = column(rows, group.split(",")[0])[1]
    expected = STATISTICS["click_rate_missing_present"][group]
    for which, rate in zip((missing, ~missing), expected, strict=True):
        # 0.005: the figures' own rounding, and the bias is common to all groups.
        slack = 0.005 + five_sigma(rate, which.sum())
        assert rows.label[which].mean() == pytest.approx(rate, abs=slack)


def test_labels_are_calibrated_against_the_probabilities(rows):
    order = np.argsort(rows.probability)
    for part in np.array_split(order, 50):
        p = rows.probability[part]
        z = (rows.label[part].sum() - p.sum()) / np.sqrt(np.sum(p * (1 - p)))
        assert abs(z) < 4.5


def test_bayes_figures_look_like_those_of_criteo(rows):
    figures = reference_metrics(rows)
    assert 0.43 < figures["log_loss"] < 0.46
    assert 0.79 < figures["auc"] < 0.82


@pytest.mark.slow
def test_interactions_are_beyond_an_additive_model(rows):
    """Expected losses of logistic fits to the true probabilities: no label noise."""
    p = rows.probability[:60_000]
    additive = additive_features(rows, 60_000)
    logs = scaled_logs(rows, 60_000)
    interactions = [
        logs * indicator[:, None]
        for name in ("C9", "C14", "C20")
        for indicator in one_hot(column(rows, name)[0][:60_000], 6).T
    ]
    train, test = slice(0, 40_000), slice(40_000, 60_000)

    def excess(features):
        features = np.hstack([features, np.ones((len(features), 1))])
        weights = fit_logistic(features[train], p[train])
        q = 1 / (1 + np.exp(-features[test] @ weights))
        return cross_entropy(p[test], q) - cross_entropy(p[test], p[test])

    linear = excess(additive)
    assert linear > 0.015
    assert excess(np.hstack([additive, *interactions])) < linear - 0.006


def cross_entropy(p, q):
    return -np.mean(p * np.log(q) + (1 - p) * np.log1p(-q))


def fit_logistic(x, p, steps=6):
    """Newton's method with a little ridge, on soft labels."""
    weights = np.zeros(x.shape[1])
    for _ in range(steps):
        q = 1 / (1 + np.exp(-x @ weights))
        hessian = (x * (q * (1 - q))[:, None]).T @ x + np.eye(x.shape[1])
        weights += np.linalg.solve(hessian, x.T @ (p - q) - weights)
    return weights


def one_hot(values, num_values):
    """Indicators of the most frequent values (a missing id is 0, one of them)."""
    distinct, counts = np.unique(values, return_counts=True)
    top = distinct[np.argsort(-counts)[:num_values]]
    return (values[:, None] == top).astype(np.float64)


def scaled_logs(rows, num_rows):
    logs = np.log1p(np.maximum(rows.numeric[:num_rows], 0))
    return np.tanh((logs - logs.mean(axis=0)) / (2 * logs.std(axis=0)))


def additive_features(rows, num_rows):
    """Frequent ids, decile bins of the integers and their missing flags."""
    parts = [one_hot(column(rows, name)[0][:num_rows], 20) for name in CATEGORICALS]
    for name in INTEGERS:
        values, missing = (x[:num_rows] for x in column(rows, name))
        edges = np.unique(np.quantile(values, np.linspace(0.1, 0.9, 9)))
        bins = np.where(missing, -1, np.searchsorted(edges, values))
        parts.append((bins[:, None] == np.arange(-1, 10)).astype(np.float64))
    return np.hstack(parts)


# ------------------------------------------------------------- figures and files


def reference_metrics(rows):
    """Log loss by definition; AUC from the ranks of the clicks."""
    p, y = rows.probability, rows.label == 1
    rank = np.empty(len(p))
    rank[np.argsort(p)] = np.arange(1, len(p) + 1)
    clicks, rate = y.sum(), y.mean()
    loss = -np.mean(np.log(np.where(y, p, 1 - p)))
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    return {
        "num_rows": len(p),
        "click_rate": rate,
        "log_loss": loss,
        "normalized_entropy": loss / entropy,
        "auc": (rank[y].sum() - clicks * (clicks + 1) / 2)
        / (clicks * (len(y) - clicks)),
        "calibration": p.mean() / rate,
    }


def test_truth_is_that_of_an_independent_oracle(small):
    folder, _ = small
    truth = json.loads((folder / "truth.json").read_text())
    edges = [(0, 30_000), (0, 10_000), (10_000, 20_000), (20_000, 30_000)]
    for figures, (start, stop) in zip(
        [truth["overall"], *truth["days"]], edges, strict=True
    ):
        rows = generator.generate_rows(start, stop, 30_000, seed=3)
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


def test_figures_of_a_single_row_are_none_where_undefined(tmp_path):
    report = generator.generate(tmp_path, num_rows=2, num_days=2)
    assert [day.num_rows for day in report.days] == [1, 1]
    assert all(day.auc is day.normalized_entropy is None for day in report.days)


def test_days_differ_by_one_row_at_most(tmp_path):
    report = generator.generate(tmp_path, num_rows=1003, num_days=7)
    sizes = [day.num_rows for day in report.days]
    assert sum(sizes) == 1003
    assert max(sizes) - min(sizes) <= 1


def test_progress_counts_every_row(tmp_path):
    steps = []
    generator.generate(tmp_path, 20_000, num_days=2, progress=steps.append)
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
        generator.generate(tmp_path, 20_000, num_days=2, progress=interrupt)
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
    generator.generate(tmp_path, 100, num_days=1)
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
        generator.generate(tmp_path / "out", **arguments)
    if "seed" in arguments:
        with pytest.raises(ValueError, match=message):
            generator.generate_rows(0, 1, **arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, 101)])
def test_ranges_outside_the_data_are_refused(start, stop):
    with pytest.raises(ValueError, match="expected 0 <= start <= stop <= num_rows"):
        generator.generate_rows(start, stop, num_rows=100)


def test_rows_do_not_depend_on_the_number_of_files(tmp_path):
    texts = []
    for num_days in (1, 4):
        folder = tmp_path / str(num_days)
        report = generator.generate(folder, 20_000, seed=3, num_days=num_days)
        texts.append(b"".join(Path(path).read_bytes() for path in report.paths))
    assert texts[0] == texts[1]
