"""models/workload.py: what a step computes, keeps and moves."""

import dataclasses
import json

import pytest

from smelu_tf.models import PRESETS, TrainConfig, WideDeep
from smelu_tf.models.accelerators import parse_slice
from smelu_tf.models.workload import DenseProgram, Table, Workload, load_program
from smelu_tf.pipelines import Categorical, MultiValued, Numeric, Schema
from smelu_tf.pipelines.presets import CRITEO, CRITEO_1TB

SCHEMA = Schema(
    "ads",
    numeric=(Numeric("price", binned=True), Numeric("age")),
    categorical=(Categorical("site", buckets=50), Categorical("kind", buckets=20)),
    multivalued=(MultiValued("tags", buckets=30, max_values=3),),
)


def configured(**model):
    config = PRESETS["criteo_1tb"]()
    small = {"embedding_dim": 16, "hidden_units": (64, 32)}
    return dataclasses.replace(
        config, model=dataclasses.replace(config.model, **{**small, **model})
    )


@pytest.mark.parametrize(
    "model",
    [
        {"cross_rank": 8},
        {"cross_rank": 0, "cross_layers": 1},
        {"cross_rank": 90},  # would save nothing
        {"interaction": "dlrm", "bottom_units": (24,)},
        {"interaction": "dlrm", "bottom_units": ()},
        {"interaction": "none", "bottleneck": 4},
        {"interaction": "none", "column_dims": ("site:32", "tags:4")},
    ],
    ids=str,
)
def test_weights_and_tables_are_those_of_the_model(model):
    config = configured(**model)
    workload = Workload.of(config, SCHEMA)
    trained = WideDeep(SCHEMA, config.model)
    tables = [layer.table for _, layer in trained.deep.tables]
    in_tables = sum(table.shape.num_elements() for table in tables)
    in_all = sum(v.shape.num_elements() for v in trained.trainable_variables)
    counted = sum(table.num_bytes // 4 for table in workload.tables)
    # A table with a column of several values has a row for padding besides.
    padding = 4 if "column_dims" in model else 16
    assert workload.num_weights == in_all - in_tables
    assert counted == in_tables - padding


def test_criteo_1tb_is_counted_by_hand():
    workload = Workload.of(PRESETS["criteo_1tb"](), CRITEO_1TB)
    width = 26 + 39 * 128  # 13 numbers with flags; 26 columns and 13 of bins
    mlp = [(width, 1024), (1024, 1024), (1024, 512), (512, 256), (256, 1)]
    assert workload.layers == (*[(width, 512), (512, width)] * 3, *mlp)
    assert workload.num_biases == 3 * width + 1024 + 1024 + 512 + 256 + 1
    assert workload.tables[0] == Table(1 << 20, 128) and len(workload.tables) == 39
    assert workload.input_width == width
    assert (workload.batch_size, workload.slots, workload.compute_bytes) == (
        65536,
        1,
        2,
    )
    assert workload.num_examples == 4_373_472_329
    assert workload.stored_bytes == 170  # as docs/input.md has it
    assert workload.fed_bytes == 4 * (26 + 39 + 2)


def test_precision_optimizer_and_products_of_pairs_count():
    config = configured(interaction="dlrm")
    config = dataclasses.replace(
        config,
        optimizer=dataclasses.replace(config.optimizer, name="adam"),
        train=dataclasses.replace(config.train, compute_dtype="float32"),
    )
    workload = Workload.of(config, SCHEMA, num_examples=10)
    assert (workload.slots, workload.compute_bytes) == (2, 4)
    # price's bin, site, kind, tags, and the vector of the numbers.
    assert workload.product_flops == 2 * 5 * 5 * 16
    assert workload.layers[-3][0] == 16 + 5 * 4 // 2
    assert [table.lookups for table in workload.tables] == [1, 1, 1, 3]
    assert workload.num_examples == 10


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"wide": True}, "model.wide: expected False in a prediction, received True"),
        ({"wide": True, "deep": False}, "model.wide: expected False"),
        ({"towers": 2}, "model.towers: expected 1 in a prediction, received 2"),
        ({"normalization": "layer"}, "normalization: expected none .* received layer"),
        ({"column_dims": ("sight:4",)}, "the nearest is site"),
    ],
)
def test_a_model_that_is_not_counted_is_an_error(model, message):
    with pytest.raises(ValueError, match=message):
        Workload.of(configured(**model), SCHEMA)


def test_vocabularies_have_to_be_counted():
    config = TrainConfig(model=configured().model)
    with pytest.raises(ValueError, match="vocabulary is not counted yet"):
        Workload.of(config, CRITEO)


WORKLOAD = Workload(
    num_examples=1000,
    batch_size=40,
    tables=(),
    layers=((10, 4), (4, 1)),
    num_biases=5,
    product_flops=7,
    input_width=10,
    slots=1,
    compute_bytes=2,
    stored_bytes=100,
    fed_bytes=50,
)


def test_a_dense_program_is_counted_by_hand():
    program = DenseProgram.counted(WORKLOAD, 20)
    weights = 10 * 4 + 4 * 1 + 5
    assert WORKLOAD.num_weights == weights
    assert program.flops == 20 * (6 * 44 + 3 * 7)
    # In and out of each product: three times forward and back, of 2 bytes; each weight
    # twice, its gradient, itself and its slot twice, of 4.
    assert program.bytes_accessed == 20 * 3 * (14 + 5) * 2 + weights * 8 * 4
    assert program.peak_bytes == 20 * 2 * (10 + 4 + 1) * 2 + weights * 3 * 4
    assert program.all_reduce_bytes == weights * 4
    assert (program.num_examples, program.origin, program.accelerator) == (
        20,
        "counted",
        "",
    )


COMPILED = {
    "topology": "v5e:2x2",
    "num_chips": 4,
    "batch_size": 20,
    "flops": 1000000000,
    "bytes_accessed": 2e9,
    "peak_bytes": 3e9,
    "all_reduce_bytes": 500,
    "compile_seconds": 1.0,
}


def test_a_compiled_program_is_read_and_fits_chips_of_its_kind(tmp_path):
    path = tmp_path / "preflight.json"
    path.write_text(json.dumps(COMPILED))
    program = load_program(path)
    assert program == DenseProgram(
        num_examples=20,
        flops=1e9,
        bytes_accessed=2e9,
        peak_bytes=3e9,
        all_reduce_bytes=500,
        origin="preflight.json, compiled for 4 chips of v5e:2x2",
        accelerator="v5e",
        num_chips=4,
    )
    assert program.fits(parse_slice("v5e:4x4"), 16 * 20)
    assert not program.fits(parse_slice("v5e:4x4"), 16 * 20 + 1)
    assert not program.fits(parse_slice("v6e:4x4"), 16 * 20)
    # A program of one chip adds no gradients up.
    assert not program.fits(parse_slice("v5e:1x1"), 20)
    assert DenseProgram.counted(WORKLOAD, 20).fits(parse_slice("h100:2"), 39)


@pytest.mark.parametrize(
    ("change", "received"),
    [
        ({"flops": None}, "TypeError"),
        ({"batch_size": "many"}, "ValueError"),
        ({"topology": ...}, "KeyError 'topology'"),
    ],
)
def test_what_is_no_program_is_an_error_that_names_the_file(tmp_path, change, received):
    path = tmp_path / "preflight.json"
    values = {k: v for k, v in (COMPILED | change).items() if v is not ...}
    path.write_text(json.dumps(values))
    message = rf"preflight\.json: expected a program's .*{received}"
    with pytest.raises(ValueError, match=message):
        load_program(path)
