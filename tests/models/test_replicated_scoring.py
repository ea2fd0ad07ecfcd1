"""models/replicated_scoring.py: batches of any size through a program of one size."""

import numpy as np
import pytest
import small_rows
import tensorflow as tf

from smelu_tf.models import WideDeep, WideDeepConfig
from smelu_tf.models.replicated_scoring import replicated_logit


@pytest.mark.parametrize("tables", ["stacked", "tpu"])
def test_any_number_of_rows_is_scored_as_the_model_scores_it(tables):
    shape = WideDeepConfig(
        embedding_dim=4,
        hidden_units=(8,),
        embedding_stddev=0.1,
        tables=tables,
        tpu_table_ids=100,
    )
    model = WideDeep(small_rows.SCHEMA, shape, static_shapes=True)
    logit = replicated_logit(model, replica_rows=16)
    rows = small_rows.make_rows(40)
    for size in (1, 15, 16, 17, 40):
        (batch,) = rows.batches(size).take(1)
        expected = model(batch.features)[:, 0]
        found = logit(batch.features)
        assert found.shape == [size]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_no_rows_have_no_logits():
    model = WideDeep(small_rows.SCHEMA, WideDeepConfig(hidden_units=(8,)))
    features = {"numeric": tf.zeros([0, 2]), "ids": tf.zeros([0, 2], tf.int32)}
    assert replicated_logit(model, 4)(features).shape == [0]
