"""pipelines/extras.py: what is said where a package of an extra is absent."""

import sys
from pathlib import Path

import pytest

from smelu_tf.pipelines.extras import importing


@pytest.mark.parametrize(
    ("purpose", "wanted"), [("to read it", "pyarrow to read it"), ("", "pyarrow")]
)
def test_the_command_that_installs_an_absent_package_is_named(
    monkeypatch, purpose, wanted
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError) as caught:
        with importing(Path("a.parquet"), "pyarrow", "data", purpose):
            import pyarrow  # noqa: F401
    assert str(caught.value) == (
        f"a.parquet: expected the package {wanted}, received none; "
        "pip install 'smelu-tf[data]'"
    )


def test_a_package_that_is_there_is_imported():
    with importing("rows", "numpy", "data"):
        import numpy
    assert numpy.ones(1)
