"""Models of the schemas of ugly rows, in memory and as their exports are loaded."""

import numpy as np
import tensorflow as tf
from ugly_rows import ref_features

from smelu_tf.models import Scorer, WideDeep, WideDeepConfig, export_saved_model
from smelu_tf.models.metrics import probability

_SERVED = {}


class Served:
    """A model of a schema, in memory and as it is loaded from its export."""

    def __init__(self, schema, folder):
        self.schema = schema
        shape = WideDeepConfig(embedding_dim=2, hidden_units=(4,), embedding_stddev=0.5)
        model = WideDeep(schema, shape)
        self.scorer = Scorer.of(model)
        self.loaded = tf.saved_model.load(str(export_saved_model(model, folder)))

    def logit(self, signature, **arguments):
        scores = self.loaded.signatures[signature](**arguments)
        np.testing.assert_array_equal(
            scores["probability"], probability(scores["logit"])
        )
        return scores["logit"].numpy()

    def own_logit(self, rows):
        """The model's own, of the features that are written down."""
        features = ref_features(rows)
        return self.scorer.logit({n: tf.constant(v) for n, v in features.items()})


def served_of(schema, tmp_path_factory):
    """The model of a schema, which is exported once, whichever test asks first."""
    if schema.name not in _SERVED:
        _SERVED[schema.name] = Served(schema, tmp_path_factory.mktemp(schema.name))
    return _SERVED[schema.name]
