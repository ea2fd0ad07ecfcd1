"""Exports a trained model as the next version of a SavedModel.

It scores raw features by name, serialised tf.train.Examples and raw text lines, and
needs nothing but TensorFlow where it is served.

    python scripts/export.py --model_dir=demo/model --output_dir=demo/export
"""

from absl import flags

import command_line

_MODEL_DIR = flags.DEFINE_string("model_dir", "demo/model", "The trained model.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "demo/export", "Where the versions 1, 2, … are."
)
_checkpoint = command_line.define_checkpoint()


def main() -> None:
    from smelu_tf.models import export_model_dir

    print(export_model_dir(_MODEL_DIR.value, _OUTPUT_DIR.value, _checkpoint()))


if __name__ == "__main__":
    command_line.run(main)
