"""pipelines/formats.py: the format of files, and how many rows they have."""

import pytest
from films import FORMATS, SCHEMA, make_rows, write

from smelu_tf.pipelines import estimate_num_rows, format_of, read_raw

NUM_ROWS = 500


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("rows"), make_rows(NUM_ROWS)
    return {kind: write(folder / f"rows.{kind}", rows) for kind in FORMATS}


@pytest.mark.parametrize("kind", FORMATS)
def test_format_and_number_of_rows_are_told_by_the_file(kind, files):
    path = str(files[kind])
    names = {"ts": "text", "cs": "text", "tf": "examples", "pa": "parquet"}
    assert format_of([path]) == names[kind[:2]]
    assert estimate_num_rows([path]) == pytest.approx(NUM_ROWS, rel=0.5)
    if kind == "parquet":
        assert estimate_num_rows([path, path]) == 2 * NUM_ROWS


def test_files_of_several_formats_are_refused(files):
    with pytest.raises(ValueError, match=r"parquet: expected text as in .*tsv"):
        read_raw([files["tsv"], files["parquet"]], SCHEMA)
