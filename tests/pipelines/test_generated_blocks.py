"""pipelines/generated_blocks.py: the blocks of the text, without the text."""

import dataclasses
import json

import pytest

from smelu_tf.pipelines import (
    CRITEO,
    Categorical,
    convert,
    generate,
    generate_blocks,
    read_manifest,
)

SIZES = {"rows_per_block": 300, "blocks_per_shard": 5}


@pytest.mark.parametrize("kind", ["counted", "hashed"])
def test_the_bytes_are_those_of_the_converted_text(kind, tmp_path):
    schema = CRITEO
    if kind == "hashed":
        columns = tuple(Categorical(c.name, buckets=99) for c in CRITEO.categorical)
        schema = dataclasses.replace(CRITEO, categorical=columns)
    text = generate(tmp_path / "text", 9000, seed=2, num_days=3)
    steps = []
    blocks = generate_blocks(
        tmp_path / "direct", schema, 9000, 2, 3, progress=steps.append, **SIZES
    )
    assert steps[-1] == 9000 and steps == sorted(steps)
    assert (blocks.days, blocks.overall) == (text.days, text.overall)
    truths = [
        json.loads((tmp_path / d / "truth.json").read_text())
        for d in ("text", "direct")
    ]
    assert truths[0] == truths[1]
    convert(text.paths[:2], schema, tmp_path / "train", **SIZES)
    complete = read_manifest(tmp_path / "train").schema
    convert(text.paths[2], complete, tmp_path / "test", **SIZES)
    for name in ("train", "test"):
        for path in (tmp_path / "direct" / name).iterdir():
            assert path.read_bytes() == (tmp_path / name / path.name).read_bytes()


def test_one_day_is_refused(tmp_path):
    with pytest.raises(ValueError, match="num_days: expected at least 2, received 1"):
        generate_blocks(tmp_path, num_days=1)
