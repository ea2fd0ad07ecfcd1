"""pipelines/line_forms.py: patterns of columns."""

import pytest
from criteo_lines import read_all, write

from smelu_tf.pipelines import BadRowError, Categorical, Numeric, Schema, read_raw_text


def test_a_pattern_that_takes_the_delimiter_takes_no_further_field(tmp_path):
    column = Categorical("site", buckets=10, pattern=".*")
    schema = Schema("ads", (Numeric("age"),), (column,), delimiter=",")
    path = write(tmp_path / "ads.csv", ["1,2,a", "1,2,a,b"])
    message = r"ads\.csv, line 2: expected 3 comma-separated fields .*, received 4"
    with pytest.raises(BadRowError, match=message):
        read_all(read_raw_text(path, schema))


@pytest.mark.parametrize("pattern", ["(?=a)a.*", r"(a)\1"])
def test_a_pattern_that_tensorflow_cannot_match_is_refused(tmp_path, pattern):
    column = Categorical("site", buckets=10, pattern=pattern)
    path = write(tmp_path / "ads.tsv", ["1\taa"])
    with pytest.raises(ValueError, match="column site: expected a pattern .* RE2"):
        read_raw_text(path, Schema("ads", (), (column,)))
