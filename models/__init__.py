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
)
from .configs import PRESETS  # noqa: E402
from .difference_report import difference_report  # noqa: E402
from .evaluation import evaluate, evaluation_report  # noqa: E402
from .export import export_model_dir, export_saved_model  # noqa: E402
from .litert import export_litert, load_litert  # noqa: E402
from .loss_config import LossConfig  # noqa: E402
from .metrics import BinaryCounts, BinaryMetrics, SlidingWindow  # noqa: E402
from .model_config import WideDeepConfig  # noqa: E402
from .onnx_export import export_onnx, load_onnx  # noqa: E402
from .optimizers import WideDeepOptimizer  # noqa: E402
from .parameters import parameter_table  # noqa: E402
from .prediction_files import PredictionFiles, read_prediction_files  # noqa: E402
from .predictions import Predictions, predict, write_predictions  # noqa: E402
from .promotion import (  # noqa: E402
    PromotionBounds,
    PromotionError,
    broken_bounds,
    check_promotion,
)
from .publishing import Published, PublishOptions, publish  # noqa: E402
from .recalibration import Recalibration  # noqa: E402
from .recalibration_fit import fit_recalibration, recalibrate  # noqa: E402
from .reliability import calibration_error, reliability  # noqa: E402
from .replicas import Replicas, with_seed  # noqa: E402
from .run_record import record_run  # noqa: E402
from .scoring import Scorer, ScoringJob, load_logit  # noqa: E402
from .slices import Slices  # noqa: E402
from .study import run_study  # noqa: E402
from .study_folder import CellResult  # noqa: E402
from .study_plan import Cell, Study  # noqa: E402
from .study_report import study_report  # noqa: E402
from .study_rows import StudyRows  # noqa: E402
from .techniques import TECHNIQUES, with_technique  # noqa: E402
from .training import train  # noqa: E402
from .training_loop import TrainResult  # noqa: E402
from .version_comparison import PromotionReport, compare_versions  # noqa: E402
from .warm_start import WarmStart, warm_start  # noqa: E402
from .wide_deep import WideDeep  # noqa: E402

__all__ = [
    "PRESETS",
    "TECHNIQUES",
    "BinaryCounts",
    "BinaryMetrics",
    "Cell",
    "CellResult",
    "DataConfig",
    "EvalConfig",
    "LossConfig",
    "OptimizerConfig",
    "PredictionFiles",
    "Predictions",
    "PromotionBounds",
    "PromotionError",
    "PromotionReport",
    "PublishOptions",
    "Published",
    "Recalibration",
    "Replicas",
    "Scorer",
    "ScoringJob",
    "Slices",
    "SlidingWindow",
    "Study",
    "StudyRows",
    "TrainConfig",
    "TrainOptions",
    "TrainResult",
    "WarmStart",
    "WideDeep",
    "WideDeepConfig",
    "WideDeepOptimizer",
    "broken_bounds",
    "calibration_error",
    "check_promotion",
    "compare_versions",
    "difference_report",
    "evaluate",
    "evaluation_report",
    "export_litert",
    "export_model_dir",
    "export_onnx",
    "export_saved_model",
    "fit_recalibration",
    "load_config",
    "load_litert",
    "load_logit",
    "load_metrics",
    "load_model",
    "load_onnx",
    "parameter_table",
    "predict",
    "publish",
    "read_prediction_files",
    "recalibrate",
    "record_run",
    "reliability",
    "run_study",
    "study_report",
    "train",
    "update_metrics",
    "warm_start",
    "with_seed",
    "with_technique",
    "write_predictions",
]
