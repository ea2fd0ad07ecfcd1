"""models/tpu_preflight.py: what fits, and the largest batch that does."""

import dataclasses

import pytest
from films import SCHEMA

from smelu_tf.models import TrainConfig, WideDeepConfig, tpu_preflight
from smelu_tf.models.tpu_compiler import CompiledProgram
from smelu_tf.models.tpu_errors import TPUMemoryError
from smelu_tf.models.tpu_hlo import AllReduces, Fusion
from smelu_tf.models.tpu_preflight import largest_batch, preflight, with_activation
from smelu_tf.models.tpu_program import assumed_schema

FILMS = assumed_schema(SCHEMA, 4000)
CONFIG = TrainConfig(
    model=WideDeepConfig(tables="tpu", tpu_table_ids=1000, hidden_units=(8,))
)
PROGRAM = CompiledProgram(
    topology="v6e:2x2",
    num_chips=4,
    flops=8,
    bytes_accessed=9,
    transcendentals=1,
    argument_bytes=100,
    output_bytes=60,
    aliased_bytes=50,
    temp_bytes=7,
    fusions=(Fusion("fusion.1", ("activation_0",), True),),
    all_reduces=AllReduces(2, 64),
    compile_seconds=0.5,
)


@pytest.fixture
def compiler(monkeypatch):
    """A compiler whose programs take so many bytes a row of a chip."""
    sizes = []

    def compiles(bytes_a_row):
        def compile_for_tpu(function, specs, topology, *, num_chips, scope):
            rows = specs[0].shape[0] // num_chips
            sizes.append(rows)
            if rows * bytes_a_row > 31 * 2**30:
                raise TPUMemoryError("too large")
            return dataclasses.replace(
                PROGRAM, num_chips=num_chips, temp_bytes=rows * bytes_a_row
            )

        monkeypatch.setattr(tpu_preflight, "compile_for_tpu", compile_for_tpu)
        return sizes

    monkeypatch.setattr(tpu_preflight, "num_chips", lambda topology: 4)
    return compiles


def test_figures_are_those_of_a_chip(compiler):
    compiler(0)
    result = preflight(CONFIG, FILMS, "v6e:2x2", batch_size=32)
    assert result.batch_size == 32 and result.program.num_chips == 4
    # Users and genres are many: a weight and an embedding, FTRL's and Adam's slots.
    assert result.table_bytes == 2 * 4 * (4000 // 4) * 3 * (8 + 8)
    figures = result.figures()
    assert figures["peak_bytes"] == 110 and figures["hbm_bytes"] == 32_000_000_000
    assert figures["num_all_reduces"] == 2 and figures["all_reduce_bytes"] == 64
    assert figures["activation_fusions"][0]["name"] == "fusion.1"
    assert preflight(CONFIG, FILMS, "v6e:2x2").batch_size == 256 // 4
    # A chip of which nothing is known here.
    assert preflight(CONFIG, FILMS, "v3:2x2").hbm_bytes is None


def test_program_and_tables_have_to_fit_together(compiler):
    compiler(1 << 20)
    rows = 31_990_000_000 >> 20
    fitting = dataclasses.replace(
        CONFIG, model=dataclasses.replace(CONFIG.model, tpu_table_ids=100_000)
    )
    assert preflight(fitting, FILMS, "v6e:2x2", batch_size=rows).table_bytes == 0
    many = assumed_schema(SCHEMA, 4_000_000)
    with pytest.raises(TPUMemoryError, match="v6e:2x2: expected at most 32 GB, a chip"):
        preflight(CONFIG, many, "v6e:2x2", batch_size=rows)


@pytest.mark.parametrize(
    "bytes_a_row, largest, num_programs",
    [(1000, 1 << 17, 1), (1 << 20, 1 << 14, 6), (1 << 26, 1 << 8, 6)],
)
def test_the_largest_batch_is_found(compiler, bytes_a_row, largest, num_programs):
    sizes = compiler(bytes_a_row)
    assert largest_batch(CONFIG, FILMS, "v6e:2x2").batch_size == largest
    assert len(sizes) <= num_programs and len(set(sizes)) == len(sizes)


def test_no_batch_fits(compiler):
    compiler(1 << 31)
    with pytest.raises(TPUMemoryError, match="too large"):
        largest_batch(CONFIG, FILMS, "v6e:2x2")


def test_another_activation_trains_no_parameters():
    trained = dataclasses.replace(
        CONFIG, model=dataclasses.replace(CONFIG.model, trainable_parameters=("beta",))
    )
    changed = with_activation(trained, "relu").model
    assert (changed.activation, changed.trainable_parameters) == ("relu", ())
