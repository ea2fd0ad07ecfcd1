"""pipelines/block_format.py against a reader that follows docs/blocks.md in NumPy."""

import json
import struct

import numpy as np
import pytest
from written_blocks import SCHEMAS, SIZES, read_whole

from smelu_tf.pipelines import Batch, write_blocks


@pytest.fixture(scope="module", params=SCHEMAS)
def data(request, tmp_path_factory):
    """A schema, and its rows as one batch of NumPy arrays."""
    schema = SCHEMAS[request.param]
    return schema, read_whole(tmp_path_factory.mktemp("text"), schema)


def _ref_read(folder):
    """All rows of a data set: columns by section and name, as docs/blocks.md says."""
    manifest = json.loads((folder / "manifest.json").read_text())
    columns: dict = {}
    block = 0
    for shard in manifest["shards"]:
        data = (folder / shard["name"]).read_bytes()
        assert len(data) == shard["num_bytes"]
        while data:
            (length,) = struct.unpack_from("<Q", data)
            record, data = data[12 : 12 + length], data[length + 16 :]
            magic, version, num_rows, index, fingerprint = struct.unpack_from(
                "<8sIIQ8s", record
            )
            assert (magic, version, index) == (b"SMELUBLK", 1, block)
            assert fingerprint.hex() == manifest["fingerprint"]
            end = 32
            for section in manifest["layout"]:
                dtype = np.dtype("<" + np.dtype(section["dtype"]).str[1:])
                for j, name in enumerate(section["columns"]):
                    start = 32 + num_rows * (section["position"] + j * dtype.itemsize)
                    assert start == end
                    values = np.frombuffer(record, dtype, num_rows, start)
                    columns.setdefault((section["name"], name), []).append(values)
                    end = start + values.nbytes
            assert end == length
            block += 1
    return {key: np.concatenate(values) for key, values in columns.items()}


def test_bytes_are_laid_out_as_documented(data, tmp_path):
    schema, batch = data
    manifest = write_blocks([batch], schema, tmp_path, **SIZES)
    columns = _ref_read(tmp_path)
    value, missing = batch.features["numeric"].T[::2], batch.features["numeric"].T[1::2]
    expected = {("label", schema.label.name): batch.label}
    if schema.weight:
        expected["weight", schema.weight] = batch.weight
    for column, x, is_missing in zip(schema.numeric, value, missing, strict=True):
        expected["numeric", column.name] = np.where(is_missing, np.nan, x)
    bits = dict(zip(schema.id_columns, (8, 32, 16, 8, 8), strict=False))
    for name, x in zip(schema.id_columns, batch.features["ids"].T, strict=True):
        expected[f"ids{bits[name]}", name] = x
    assert columns.keys() == expected.keys()
    for key, values in columns.items():
        np.testing.assert_array_equal(values, expected[key], str(key))
    assert [shard.num_rows for shard in manifest.shards] == [200] * 5 + [3]
    assert [shard.num_blocks for shard in manifest.shards] == [4] * 5 + [1]


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"label": np.array([0.5], np.float32)}, "labels of 0 or 1"),
        ({"ids": np.array([[0, 0, 300, 0, 0]], np.int32)}, "ids from 0 to num_ids"),
        ({"ids": np.array([[-1, 0, 0, 0, 0]], np.int32)}, "ids from 0 to num_ids"),
        ({"ids": np.zeros((1, 4), np.int32)}, "of the shapes"),
        ({"numeric": np.array([[np.nan, 0, 0, 0]], np.float32)}, "numbers"),
        ({"numeric": np.array([[2, 1, 0, 0]], np.float32)}, "numbers"),
        ({"weight": np.array([2], np.float32)}, "weights of 1"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(tmp_path, change, expected):
    values = {
        "numeric": np.zeros((1, 4), np.float32),
        "ids": np.zeros((1, 5), np.int32),
        "label": np.zeros(1, np.float32),
        "weight": np.ones(1, np.float32),
        **change,
    }
    features = {name: values[name] for name in ("numeric", "ids")}
    batch = Batch(features, values["label"], values["weight"])
    with pytest.raises(ValueError, match=expected):
        write_blocks([batch], SCHEMAS["plain"], tmp_path)
    assert list(tmp_path.iterdir()) == []
