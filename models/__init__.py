"""Features -> wide-and-deep model -> training, evaluation, export. Needs tf-keras."""

import tensorflow as _tf

_keras = _tf.keras.Model.__module__.partition(".")[0]
if _keras != "tf_keras":
    raise ImportError(
        "smelu_tf.models: expected tf.keras to be tf-keras (Keras 2), received "
        f"{_keras} (Keras 3); set the environment variable TF_USE_LEGACY_KERAS=1 "
        "before TensorFlow is first imported."
    )

from .checkpoints import (  # noqa: E402
    load_config,
    load_metrics,
    load_model,
    update_metrics,
)
from .config import (  # noqa: E402
    DataConfig,
    EvalConfig,
    OptimizerConfig,
    TrainConfig,
    TrainOptions,
    WideDeepConfig,
)
from .configs import PRESETS  # noqa: E402
from .evaluation import (  # noqa: E402
    Predictions,
    Scorer,
    ScoringJob,
    evaluate,
    predict,
    write_predictions,
)
from .export import export_model_dir, export_saved_model  # noqa: E402
from .metrics import BinaryMetrics  # noqa: E402
from .optimizers import WideDeepOptimizer  # noqa: E402
from .training import TrainResult, train  # noqa: E402
from .wide_deep import WideDeep  # noqa: E402

__all__ = [
    "PRESETS",
    "BinaryMetrics",
    "DataConfig",
    "EvalConfig",
    "OptimizerConfig",
    "Predictions",
    "Scorer",
    "ScoringJob",
    "TrainConfig",
    "TrainOptions",
    "TrainResult",
    "WideDeep",
    "WideDeepConfig",
    "WideDeepOptimizer",
    "evaluate",
    "export_model_dir",
    "export_saved_model",
    "load_config",
    "load_metrics",
    "load_model",
    "predict",
    "train",
    "update_metrics",
    "write_predictions",
]
