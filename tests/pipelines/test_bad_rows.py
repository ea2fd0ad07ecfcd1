"""pipelines/bad_rows.py: rows passed over, counted, quoted and kept."""

import pytest
from criteo_lines import GOOD, changed, read_all, write

from smelu_tf.pipelines import CRITEO, BadRowError, BadRows, read_raw_text


def test_bad_rows_are_passed_over_counted_quoted_and_kept(tmp_path, capfd):
    bad = ["x", changed(0, "7"), "1\t2"]
    lines = [bad[0], GOOD, bad[1], GOOD, GOOD, bad[2]]
    path, rejects = write(tmp_path / "day.tsv", lines), tmp_path / "rejects.txt"
    bad_rows = BadRows(max_bad_rows=3, rejects=rejects)
    raw = read_all(read_raw_text(path, CRITEO, bad_rows=bad_rows))
    assert len(raw["label"]) == 3
    assert bad_rows.count == 3
    assert rejects.read_text().splitlines() == bad
    quoted = capfd.readouterr().err
    assert "line 3: field label: expected 0 or 1, received '7'" in quoted


def test_the_first_bad_row_is_named_whatever_the_threads_do(tmp_path):
    lines = [GOOD] * 40_000
    for number in (39_000, 20_000, 9000):
        lines[number - 1] = "x"
    path = write(tmp_path / "day.tsv", lines)
    with pytest.raises(BadRowError, match=r"day\.tsv, line 9000:"):
        read_all(read_raw_text(path, CRITEO))
    rejects = tmp_path / "rejects.txt"
    lines[8999], lines[19_999] = "a", "b"
    write(path, lines)
    read_all(read_raw_text(path, CRITEO, bad_rows=BadRows(3, rejects)))
    assert rejects.read_text() == "a\nb\nx\n"


def test_a_file_of_rejects_that_cannot_be_written_is_named(tmp_path):
    path = write(tmp_path / "day.tsv", ["x", GOOD])
    (tmp_path / "folder").mkdir()
    for rejects, reason in (("folder", "Is a directory"), ("day.tsv/x", "File exists")):
        bad_rows = BadRows(1, tmp_path / rejects)
        message = f"{rejects}: expected a file .* received: {reason}"
        with pytest.raises(BadRowError, match=message):
            read_all(read_raw_text(path, CRITEO, bad_rows=bad_rows))


def test_one_bad_row_too_many_is_an_error(tmp_path):
    path = write(tmp_path / "day.tsv", ["x", GOOD, "y", GOOD, "z"])
    bad_rows = BadRows(max_bad_rows=2, quote=False)
    with pytest.raises(BadRowError, match=r"line 5: .*bad row 3; max_bad_rows is 2"):
        read_all(read_raw_text(path, CRITEO, bad_rows=bad_rows))
