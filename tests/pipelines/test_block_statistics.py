"""pipelines/block_statistics.py against NumPy."""

import math

import numpy as np
import pytest
from written_blocks import SCHEMAS, SIZES, read_whole

from smelu_tf.pipelines import write_blocks


@pytest.fixture(scope="module", params=SCHEMAS)
def data(request, tmp_path_factory):
    """A schema, and its rows as one batch of NumPy arrays."""
    schema = SCHEMAS[request.param]
    return schema, read_whole(tmp_path_factory.mktemp("text"), schema)


def test_statistics_are_those_of_numpy(data, tmp_path):
    schema, batch = data
    statistics = write_blocks([batch], schema, tmp_path, **SIZES).statistics
    assert statistics.click_rate == np.mean(batch.label)
    assert math.isclose(statistics.weight_sum, np.sum(batch.weight, dtype=np.float64))
    numeric = batch.features["numeric"].astype(np.float64)
    for i, column in enumerate(statistics.numeric):
        value, missing = numeric[:, 2 * i], numeric[:, 2 * i + 1]
        finite = value[(missing == 0) & np.isfinite(value)]
        assert column.missing_rate == missing.mean()
        np.testing.assert_allclose(column.mean, finite.mean(), rtol=1e-12)
        np.testing.assert_allclose(column.standard_deviation, finite.std(), rtol=1e-12)
    assert [c.name for c in statistics.numeric] == [c.name for c in schema.numeric]
    assert tuple(c.name for c in statistics.ids) == schema.id_columns
    for column, ids in zip(statistics.ids, batch.features["ids"].T, strict=True):
        assert column.missing_rate == np.mean(ids == 0)
        unknown = np.mean(ids == 1) if column.name == "small" else None
        assert column.unknown_rate == unknown
        assert column.num_distinct == len(np.unique(ids))
