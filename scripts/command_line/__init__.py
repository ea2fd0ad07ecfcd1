"""What the scripts share: how they start, end, report, and flags of several."""

import os

# tf-keras must be chosen, and TensorFlow's start-up chatter silenced, before
# TensorFlow is first imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow would take nearly all memory of every GPU it sees, though a script that
# scores beside a training needs little. (False is for one that is short of it: memory
# taken piece by piece may be left in pieces.)
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# To be deterministic on a GPU, TensorFlow would take a table to the host and back at
# each step, in case an update names a row twice. Those of ours name each once.
os.environ.setdefault("TF_DISABLE_SCATTER_OP_DETERMINISM", "true")

from .comparison_flags import MaxPredictionDifference  # noqa: E402
from .config_flag import define_config  # noqa: E402
from .errors import complain  # noqa: E402
from .lists import items, positive_integer  # noqa: E402
from .progress import ProgressLine  # noqa: E402
from .running import run  # noqa: E402
from .scoring_flags import define_checkpoint, define_scoring_flags  # noqa: E402
from .tables import aligned, show_figures, show_table  # noqa: E402

__all__ = [
    "MaxPredictionDifference",
    "ProgressLine",
    "aligned",
    "complain",
    "define_checkpoint",
    "define_config",
    "define_scoring_flags",
    "items",
    "positive_integer",
    "run",
    "show_figures",
    "show_table",
]
