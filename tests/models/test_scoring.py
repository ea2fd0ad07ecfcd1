"""models/scoring.py: what is a model, and what is none."""

import pytest

from smelu_tf.models import Scorer


@pytest.mark.parametrize("kind", ["nothing", "no checkpoint"])
def test_what_is_no_model_is_refused(small_run, tmp_path, kind):
    if kind == "no checkpoint":
        for name in ("config.json", "schema.json"):
            (tmp_path / name).write_text((small_run[1] / name).read_text())
    with pytest.raises(
        ValueError, match=r"expected a (model_dir|checkpoint), received"
    ):
        Scorer.load(tmp_path)
