"""pipelines/sources.py: rows of files and of blocks by the same methods."""

import numpy as np
import pytest
from written_blocks import NUM_ROWS, SCHEMA, cut, write_weighted

from smelu_tf.pipelines import (
    CRITEO,
    Blocks,
    Passes,
    RowFiles,
    is_blocks,
    open_rows,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`rows.tsv`, the same rows as `blocks`, and what they hold."""
    path = tmp_path_factory.mktemp("sources")
    batch, _ = write_weighted(path)
    return path, batch


def labels_of(batches):
    return np.concatenate([batch.label.numpy() for batch in batches])


def weights_of(batches):
    return np.concatenate([batch.weight.numpy() for batch in batches])


def test_a_folder_is_told_from_files(folder):
    path, _ = folder
    assert is_blocks(path / "blocks") and is_blocks(str(path / "blocks"))
    for other in (path, path / "rows.tsv", path / "absent", [str(path / "blocks")]):
        assert not is_blocks(other)
    assert isinstance(open_rows(path / "blocks"), Blocks)
    assert isinstance(open_rows(path / "rows.tsv"), RowFiles)


@pytest.mark.parametrize("name", ["rows.tsv", "blocks"])
def test_batches_begin_at_any_number(folder, name):
    path, batch = folder
    rows = open_rows(path / name)
    assert rows.complete(SCHEMA) == SCHEMA
    for first in (0, 3, 10):
        batches = rows.batches(SCHEMA, 100, first=first)
        np.testing.assert_array_equal(
            weights_of(batches), cut(batch, first * 100, None).weight
        )
    assert list(rows.batches(SCHEMA, 100, first=11)) == []


def test_passes_follow_one_another_each_in_an_order_of_its_own(folder):
    path, batch = folder
    rows = Blocks(path / "blocks")
    passes = Passes(epochs=2, shuffle_seed=7)
    weights = weights_of(rows.batches(SCHEMA, 100, passes=passes))
    first, second = np.split(weights, 2)
    assert not np.array_equal(first, second)
    for one in (first, second):
        np.testing.assert_array_equal(np.sort(one), np.sort(batch.weight))
    # Batch 14 of 2 x 11 is the fourth of the second pass.
    later = weights_of(rows.batches(SCHEMA, 100, first=14, passes=passes))
    np.testing.assert_array_equal(later, second[300:])


def test_the_last_part_is_split_off_and_split_again(folder):
    path, batch = folder
    most, last = Blocks(path / "blocks").split(0.2)
    assert (most.estimated_rows(), last.estimated_rows()) == (NUM_ROWS - 201, 201)
    half, rest = last.split(0.5)
    parts = [labels_of(rows.batches(SCHEMA, 64)) for rows in (most, half, rest)]
    np.testing.assert_array_equal(np.concatenate(parts), batch.label)


@pytest.mark.parametrize("fraction", [1e-6, 1 - 1e-6])
def test_a_part_without_rows_is_refused(folder, fraction):
    path, _ = folder
    with pytest.raises(ValueError, match="expected rows on both sides of a split"):
        Blocks(path / "blocks").split(fraction)


def test_what_row_files_cannot_do_is_refused_by_their_name(folder):
    path, _ = folder
    rows = RowFiles(path / "rows.tsv")
    for passes in (Passes(epochs=2), Passes(shuffle_seed=0), Passes(data_service="a")):
        with pytest.raises(ValueError, match=r"rows\.tsv: expected a folder of blocks"):
            rows.batches(SCHEMA, 100, passes=passes)
    with pytest.raises(ValueError, match=r"rows\.tsv: expected a folder of blocks"):
        rows.split(0.1)


def test_blocks_of_another_schema_are_refused_and_it_is_said_what_to_name(folder):
    path, _ = folder
    message = "expected blocks of the schema criteo, .* --config.data.schema"
    with pytest.raises(ValueError, match=message):
        Blocks(path / "blocks").complete(CRITEO)


def test_rows_that_do_not_parse_are_counted_over_all_readings(folder, tmp_path):
    path, batch = folder
    file = tmp_path / "some_bad.tsv"
    lines = (path / "rows.tsv").read_text().splitlines()
    file.write_text("\n".join([*lines[:5], "not a row", *lines[5:]]) + "\n")
    rows = open_rows(file, max_bad_rows=1, rejects=tmp_path / "rejects.txt")
    np.testing.assert_array_equal(labels_of(rows.batches(SCHEMA, 100)), batch.label)
    assert rows.num_bad_rows == 1
    assert "not a row" in (tmp_path / "rejects.txt").read_text()
