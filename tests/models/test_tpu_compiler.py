"""models/tpu_compiler.py: programs that the real TPU compiler compiles."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import smelu_tf
from smelu_tf.models import tpu_compiler
from smelu_tf.models.tpu_compiler import compile_for_tpu, num_chips
from smelu_tf.models.tpu_errors import TPUCompilerError, TPUMemoryError

pytest.importorskip("jax", reason="jax is not installed")
pytest.importorskip("libtpu", reason="libtpu is there for Linux on x86-64 alone")

TOPOLOGIES = ("v4:2x2x1", "v5e:2x2", "v5p:2x2x1", "v6e:2x2")
SPECS = [tf.TensorSpec([64, 24]), tf.TensorSpec([64])]


def training_step(activation=smelu_tf.smelu, units=128):
    """A tf-keras step that updates weights and slots, and those."""
    model = tf_keras.Sequential(
        [
            tf_keras.layers.Input((24,)),
            tf_keras.layers.Dense(units),
            tf_keras.layers.Activation(activation, name="activation_0"),
            tf_keras.layers.Dense(1),
        ]
    )
    optimizer = tf_keras.optimizers.legacy.Adagrad(0.1)
    optimizer._create_all_weights(model.trainable_variables)

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True)[:, 0] - y) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(
            zip(gradients, model.trainable_variables, strict=True)
        )
        return loss

    return step, model, optimizer


def test_a_training_step_compiles_and_its_memory_adds_up():
    step, model, optimizer = training_step()
    program = compile_for_tpu(step, SPECS, "v5e:2x2")
    # Forward, and the kernels' gradients backward: two operations a weight and row.
    assert program.flops > 2 * 64 * (24 * 128 + 128) * 2
    weights = 4 * sum(
        np.prod(v.shape) for v in (*model.trainable_variables, *optimizer.weights)
    )
    assert program.argument_bytes >= weights + 4 * 64 * 25
    # Updated weights and slots take the place of the old ones.
    assert weights - 16 <= program.aliased_bytes <= program.output_bytes
    new = program.output_bytes - program.aliased_bytes
    assert program.peak_bytes == program.argument_bytes + program.temp_bytes + new
    assert program.all_reduces.count == 0
    assert any("activation_0" in fusion.scopes for fusion in program.fusions)
    assert any(fusion.has_matmul for fusion in program.fusions)
    # Nothing was run.
    assert optimizer.iterations == 0


def test_chips_that_share_a_batch_add_up_their_gradients():
    step, model, _ = training_step()
    alone = compile_for_tpu(step, SPECS, "v5e:2x2")
    shared = compile_for_tpu(step, SPECS, "v5e:2x2", num_chips=4)
    assert shared.flops < alone.flops / 3
    weights = sum(np.prod(v.shape) for v in model.trainable_variables)
    # The gradients and the loss.
    assert shared.all_reduces.num_bytes >= 4 * weights
    assert shared.all_reduces.num_bytes <= 4 * weights + 64
    assert shared.aliased_bytes == alone.aliased_bytes


@pytest.mark.slow
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_kind_of_chip(topology):
    assert num_chips(topology) == 4
    for chips in (1, 4):
        program = compile_for_tpu(training_step()[0], SPECS, topology, num_chips=chips)
        assert program.num_chips == chips and program.flops > 0


def test_a_program_without_variables():
    program = compile_for_tpu(tf.nn.relu, [tf.TensorSpec([8, 128])], "v5e:2x2")
    assert program.bytes_accessed == 2 * 4 * 8 * 128
    assert program.aliased_bytes == program.temp_bytes == 0


def test_what_does_not_fit_is_refused_with_the_compilers_reason():
    huge = [tf.TensorSpec([1 << 17, 1 << 17])]
    with pytest.raises(TPUMemoryError) as error:
        compile_for_tpu(lambda x: x + 1.0, huge, "v5e:2x2")
    message = str(error.value)
    assert message.startswith("v5e:2x2: the TPU compiler refuses the program: ")
    assert "memory" in message and "\n" not in message


@pytest.mark.parametrize(
    "function, spec, message",
    [
        (tf.nn.relu, tf.TensorSpec([None, 8]), "specs: expected static shapes"),
        (tf.strings.length, tf.TensorSpec([4], tf.string), "that XLA compiles"),
        (lambda x: tf.unique(x)[0], tf.TensorSpec([4]), "results of static shapes"),
        (
            lambda x: tf.strings.to_number(tf.strings.as_string(x)),
            tf.TensorSpec([4]),
            "expected a program that XLA compiles, received another: ",
        ),
    ],
)
def test_programs_that_no_tpu_runs(function, spec, message):
    with pytest.raises(TPUCompilerError) as error:
        compile_for_tpu(function, [spec], "v5e:2x2")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("topology", ["v5e", "v5e:3x3", "h100:2x2", ""])
def test_an_unknown_topology_is_named(topology):
    with pytest.raises(ValueError, match="topology: expected a name such as") as error:
        num_chips(topology)
    assert repr(topology) in str(error.value)


def test_chips_and_rows_that_are_not_there():
    relu, spec = tf.nn.relu, tf.TensorSpec([6, 8])
    for chips in (0, 5):
        with pytest.raises(ValueError, match="num_chips: expected 1 to 4"):
            compile_for_tpu(relu, [spec], "v5e:2x2", num_chips=chips)
    with pytest.raises(ValueError, match="a multiple of 4 rows.*received 6"):
        compile_for_tpu(relu, [spec], "v5e:2x2", num_chips=4)


def test_versions_that_do_not_fit_are_named(monkeypatch):
    monkeypatch.setattr(tpu_compiler, "PARTS_OF_JAX", ("jax.gone",))
    with pytest.raises(ImportError, match="versions that work together.*jax 0"):
        num_chips("v5e:2x2")


def test_stablehlo_of_another_kind_is_a_matter_of_versions(monkeypatch):
    monkeypatch.setattr(tpu_compiler, "stablehlo_of", lambda *_: "module @x { new.op }")
    with pytest.raises(ImportError, match="versions that work together"):
        compile_for_tpu(tf.nn.relu, [tf.TensorSpec([8])], "v5e:2x2")


@pytest.mark.parametrize("package", ["jax", "libtpu"])
def test_a_missing_package_names_the_command(monkeypatch, package):
    real = tpu_compiler.importlib.import_module

    def without(name):
        if name == package:
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(tpu_compiler.importlib, "import_module", without)
    with pytest.raises(ImportError, match=f"no {package}; pip install 'smelu-tf"):
        num_chips("v5e:2x2")


def test_the_environment_is_left_as_it_was(monkeypatch):
    monkeypatch.setenv("TPU_LOG_DIR", "mine")
    monkeypatch.delenv("TPU_ACCELERATOR_TYPE", raising=False)
    before = dict(tpu_compiler.os.environ)
    assert num_chips("v6e:4x4") == 16
    assert dict(tpu_compiler.os.environ) == before


@pytest.mark.slow
def test_two_processes_compile_at_once():
    code = (
        "import tensorflow as tf\n"
        "from smelu_tf.models.tpu_compiler import compile_for_tpu\n"
        "spec = tf.TensorSpec([8, 128])\n"
        "print(compile_for_tpu(tf.nn.relu, [spec], 'v5e:2x2').bytes_accessed)"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in started] == ["8192\n"] * 2
