"""pipelines/row_faults.py: what is said of a bad row."""

import pytest
from criteo_lines import GOOD, changed, read_all, write

from smelu_tf.pipelines import CRITEO, BadRowError, read_raw_text
from smelu_tf.pipelines.row_faults import fault_of_line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1\t2", r"expected 40 tab-separated fields \(criteo\), received 2"),
        (GOOD + "\t", "expected 40 tab-separated fields .*, received 41"),
        ("", "expected 40 fields .*, received none"),
        (changed(0, "2"), "field label: expected 0 or 1, received '2'"),
        (changed(0, ""), "field label: expected 0 or 1, received ''"),
        (changed(3, "nan"), "field I3: expected an integer .* received 'nan'"),
        (changed(3, "inf"), "field I3: expected an integer .* received 'inf'"),
        (changed(3, "1e5"), "field I3: expected an integer .* received '1e5'"),
        (changed(3, "0x1F"), "field I3: expected an integer .* received '0x1F'"),
        (changed(3, "1.0"), "field I3: expected an integer .* received '1.0'"),
        (changed(3, " 1"), "field I3: expected an integer .* received ' 1'"),
        (changed(3, "1" * 19), "field I3: expected an integer of at most 18 digits"),
        (changed(14, "xyz"), "field C1: expected 8 hexadecimal digits .* 'xyz'"),
        (changed(39, "0A1B2C3D"), "field C26: expected 8 hexadecimal digits"),
        (changed(39, "\udcff" * 8), "expected UTF-8 text"),
        (changed(14, "0a1b2c3d\x00"), "field C1: expected 8 hexadecimal digits"),
    ],
)
def test_a_bad_row_is_an_error_that_says_where_and_what(tmp_path, line, message):
    path = write(tmp_path / "day.tsv", [GOOD] * 5000 + [line, GOOD])
    with pytest.raises(BadRowError, match=rf"day\.tsv, line 5001: {message}"):
        read_all(read_raw_text(path, CRITEO))


def test_every_refused_line_has_a_reason():
    for line in (b"\xff", b"", b"1\t", changed(5, "x").encode()):
        assert "expected" in fault_of_line(line, CRITEO)
