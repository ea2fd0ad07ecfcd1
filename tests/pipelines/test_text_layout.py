"""pipelines/text_layout.py: lines that no layout fits are named."""

import pytest

from smelu_tf.pipelines import propose_schema


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("label,b\n1,2\n\n0,3\n", "line 3: .*, received an empty line"),
        (
            'label,b\n1,"u"\n0,"v\nw"\n1,"x"\n0,"y"\n',
            "line 3: expected quotes in p",
        ),
        ("label,b\n1,caf\xe9\n", r"line 2: expected UTF-8 text, received b'\\xe9"),
        ("label\n1\n0\n", "line 1: expected a header of fields"),
        pytest.param(200_000 * "x", "expected a header of fields", id="one line"),
        ("label,b\n1,2\n1\n", "line 3: expected 2 fields .*, received 1"),
        ("label,b,b\n1,2,3\n", "expected distinct names, received b"),
    ],
)
def test_lines_without_a_layout_are_refused(content, message, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=message):
        propose_schema(path)
