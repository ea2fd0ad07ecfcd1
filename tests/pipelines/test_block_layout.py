"""pipelines/block_layout.py: ids in the narrowest type that holds them."""

import numpy as np

from smelu_tf.pipelines import Batch, Categorical, Schema, read_blocks, write_blocks


def test_ids_have_the_narrowest_type_that_holds_them(tmp_path):
    sizes = (2, 256, 257, 65_536, 65_537)
    columns = tuple(Categorical(f"c{n}", buckets=n) for n in sizes)
    largest = np.array([sizes], np.int32) - 1
    features = {"numeric": np.zeros((1, 0), np.float32), "ids": largest}
    one = np.ones(1, np.float32)
    schema = Schema("s", (), columns)
    manifest = write_blocks([Batch(features, one, one)], schema, tmp_path)
    names = {section.name: section.columns for section in manifest.layout}
    assert names["ids8"] == ("c2", "c256")
    assert names["ids16"] == ("c257", "c65536")
    assert names["ids32"] == ("c65537",)
    (batch,) = read_blocks(tmp_path).as_numpy_iterator()
    np.testing.assert_array_equal(batch.features["ids"], largest)
