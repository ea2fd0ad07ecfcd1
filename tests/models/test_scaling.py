"""models/scaling.py: the roofline, by hand."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smelu_tf.models import PRESETS
from smelu_tf.models.accelerators import ACCELERATORS, Slice, parse_slice
from smelu_tf.models.scaling import (
    Assumptions,
    MemoryShortageError,
    predict,
    table_traffic,
)
from smelu_tf.models.workload import DenseProgram, Table, Workload
from smelu_tf.pipelines.presets import CRITEO_1TB

# Everything that is published is reached.
IDEAL = Assumptions(
    compute_efficiency=1,
    memory_efficiency=1,
    interconnect_efficiency=1,
    usable_memory=1,
    copied_below=100,
    reader_examples_per_second=1e15,
)
LARGE, SMALL = Table(1000, 8, lookups=3), Table(50, 4)
WORKLOAD = Workload(
    num_examples=1001,
    batch_size=40,
    tables=(LARGE, SMALL),
    layers=((20, 5), (5, 1)),
    num_biases=6,
    product_flops=0,
    input_width=20,
    slots=2,
    compute_bytes=2,
    stored_bytes=100,
    fed_bytes=60,
)
ROW = 8 * 4


@pytest.fixture(scope="module")
def criteo():
    return Workload.of(PRESETS["criteo_1tb"](), CRITEO_1TB)


def chips(shape, **figures):
    """A mesh of chips that do round numbers."""
    accelerator = dataclasses.replace(
        ACCELERATORS["v5e"],
        flops=1e6,
        memory_bytes=1e6,
        memory_bandwidth=1e5,
        link_bandwidth=1e4,
        host_link_bandwidth=1e9,
        host_network_bandwidth=1e9,
        price_per_hour=2.0,
    )
    return Slice(dataclasses.replace(accelerator, **figures), shape)


def test_traffic_of_a_sharded_and_of_a_small_table():
    traffic = table_traffic(WORKLOAD, 4, IDEAL)
    looked_up, vectors = 10 * 3, 10 * ROW
    small_row, small = 4 * 4, 50 * 4 * 4
    assert traffic.memory_bytes == pytest.approx(
        looked_up * ROW * (1 + 1 + 2 * 3)
        + 2 * vectors
        + 2 * 10 * small_row
        + small * (2 + 2 * 3)
    )
    assert traffic.all_to_all_bytes == 4 * looked_up + 2 * vectors
    assert traffic.all_reduce_bytes == small
    assert traffic.gathered_bytes == 0
    # Weights and two slots, of the small one a gradient besides.
    assert traffic.held_bytes == 1000 * ROW * 3 / 4 + small * 4


def test_rows_of_fewer_bytes_and_of_ids_that_come_again_move_less():
    halved = dataclasses.replace(IDEAL, exchange_bytes=2, distinct=0.5)
    traffic = table_traffic(WORKLOAD, 4, halved)
    whole = table_traffic(WORKLOAD, 4, IDEAL)
    assert whole.all_to_all_bytes - traffic.all_to_all_bytes == 10 * ROW
    assert whole.memory_bytes - traffic.memory_bytes == pytest.approx(
        10 * 3 * ROW * 2 * 3 / 2 + 10 * ROW
    )


def test_copied_tables_get_the_gradients_of_all_rows():
    copied = dataclasses.replace(IDEAL, tables="copied", copied_below=0)
    traffic = table_traffic(dataclasses.replace(WORKLOAD, tables=(LARGE,)), 4, copied)
    of_all = 40 * 3 * ROW
    assert traffic.memory_bytes == of_all / 4 + of_all * (2 + 2 * 3)
    assert traffic.gathered_bytes == of_all
    assert traffic.all_to_all_bytes == traffic.all_reduce_bytes == 0
    assert traffic.held_bytes == 1000 * ROW * 3


def test_the_parts_of_a_step_by_hand():
    prediction = predict(WORKLOAD, chips((2, 2)), IDEAL)
    program = DenseProgram.counted(WORKLOAD, 10)
    traffic = table_traffic(WORKLOAD, 4, IDEAL)
    assert prediction.compute_seconds == pytest.approx(10 * 6 * 105 / 1e6)
    assert prediction.memory_seconds == pytest.approx(
        (program.bytes_accessed + traffic.memory_bytes) / 1e5
    )
    # All to all: half of what a chip holds, over two links a cut of two chips each.
    reduced = WORKLOAD.num_weights * 4 + 50 * 16
    assert prediction.interconnect_seconds == pytest.approx(
        traffic.all_to_all_bytes / 2 / 1e4 + 2 * reduced * 3 / 4 / 2e4
    )
    assert prediction.num_steps == 26
    assert prediction.price_per_hour == 8.0
    assert prediction.memory_bytes == program.peak_bytes + traffic.held_bytes


def test_bounds_are_the_longest_part_and_the_sum():
    prediction = predict(WORKLOAD, chips((2, 2)), IDEAL)
    parts = prediction.parts
    assert prediction.step_seconds == (max(parts.values()), sum(parts.values()))
    assert prediction.bound_by == "memory"
    assert max(parts.values()) == parts["memory"]
    fast, slow = prediction.step_seconds
    assert prediction.examples_per_second == (40 / fast, 40 / slow)
    assert prediction.hours == (26 * fast / 3600, 26 * slow / 3600)
    assert prediction.cost == pytest.approx(
        (8 * 26 * fast / 3600, 8 * 26 * slow / 3600)
    )
    assert prediction.device_seconds[1] == pytest.approx(slow - parts["input"])


@pytest.mark.parametrize(
    ("figures", "reader", "seconds"),
    [
        ({}, 10.0, 40 / 10),  # reading and decoding: of all, on every host
        ({"host_network_bandwidth": 100.0}, 1e15, 40 * 100 / 100),
        ({"host_link_bandwidth": 60.0}, 1e15, 10 * 60 / 60),  # a chip's own part
    ],
)
def test_the_slowest_stage_of_the_input_counts(figures, reader, seconds):
    assumptions = dataclasses.replace(IDEAL, reader_examples_per_second=reader)
    prediction = predict(WORKLOAD, chips((2, 2), **figures), assumptions)
    assert prediction.input_seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("part_of", "answer"), [(0.9, "yes"), (1.1, "perhaps"), (100.0, "no")]
)
def test_the_input_keeps_up_with_chips_as_they_overlap(part_of, answer):
    fast, _ = predict(WORKLOAD, chips((2, 2)), IDEAL).device_seconds
    rate = 40 / (part_of * fast)
    assumptions = dataclasses.replace(IDEAL, reader_examples_per_second=rate)
    assert predict(WORKLOAD, chips((2, 2)), assumptions).input_keeps_up == answer


@pytest.mark.parametrize("part", ["compute", "memory", "interconnect"])
def test_an_efficiency_of_a_half_doubles_its_part_alone(part):
    half = dataclasses.replace(IDEAL, **{f"{part}_efficiency": 0.5})
    before = predict(WORKLOAD, chips((2, 2)), IDEAL).parts
    after = predict(WORKLOAD, chips((2, 2)), half).parts
    assert after == pytest.approx(before | {part: 2 * before[part]})


def test_a_compiled_program_takes_the_counted_one_s_place():
    program = DenseProgram(10, 1e6, 3e5, 4e5, 1e4, "a file", "v5e", 4)
    counted = predict(WORKLOAD, chips((2, 2)), IDEAL)
    compiled = predict(WORKLOAD, chips((2, 2)), IDEAL, program, price_per_hour=0.5)
    assert compiled.dense_origin == "a file"
    assert compiled.compute_seconds == 1.0
    own = DenseProgram.counted(WORKLOAD, 10)
    assert compiled.memory_seconds - counted.memory_seconds == pytest.approx(
        (3e5 - own.bytes_accessed) / 1e5
    )
    assert compiled.memory_bytes - counted.memory_bytes == pytest.approx(
        4e5 - own.peak_bytes
    )
    assert compiled.price_per_hour == 2.0
    for other in ({"num_examples": 11}, {"accelerator": "v4"}):
        wrong = dataclasses.replace(program, **other)
        with pytest.raises(ValueError, match="expected one for v5e:2x2 and 10 exam"):
            predict(WORKLOAD, chips((2, 2)), IDEAL, wrong)


def test_chips_that_do_not_hold_the_tables_are_told_how_many_would(criteo):
    message = (
        r"v5e:1x1: expected at most 14\.4 GB .* received 34\.\d GB; 4 chips would do"
    )
    with pytest.raises(MemoryShortageError, match=message):
        predict(criteo, parse_slice("v5e:1x1"))
    with pytest.raises(MemoryShortageError, match="4 chips"):
        predict(criteo, parse_slice("v5e:1x2"))
    assert predict(criteo, parse_slice("v5e:2x2")).memory_bytes < 0.9 * 16e9
    with pytest.raises(MemoryShortageError, match="no number of chips up to 16384"):
        predict(criteo, parse_slice("v5e:4x4"), Assumptions(tables="copied"))


@given(st.sampled_from(["v5e", "v6e"]), st.integers(0, 3))
def test_more_chips_are_never_slower_on_paper_and_take_less_memory(name, power):
    workload = dataclasses.replace(WORKLOAD, batch_size=4096)
    axis = 2**power
    few, many = (
        predict(workload, parse_slice(f"{name}:{n}x{n}"), IDEAL)
        for n in (axis, 2 * axis)
    )
    assert many.compute_seconds < few.compute_seconds
    assert many.memory_seconds < few.memory_seconds
    assert many.memory_bytes < few.memory_bytes


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "compute_efficiency",
            0,
            "compute_efficiency: expected 0 < part <= 1, received 0",
        ),
        ("memory_efficiency", 1.5, "memory_efficiency: expected 0 < part <= 1"),
        ("usable_memory", math.nan, "usable_memory: expected"),
        (
            "tables",
            "split",
            "tables: expected one of sharded, copied, received 'split'",
        ),
        ("copied_below", -1, "copied_below: expected 0 or more rows, received -1"),
        ("exchange_bytes", 3, "exchange_bytes: expected 1, 2 or 4, received 3"),
        ("reader_examples_per_second", 0, "expected a number above 0, received 0"),
    ],
)
def test_impossible_assumptions_are_named(field, value, message):
    assumptions = dataclasses.replace(IDEAL, **{field: value})
    with pytest.raises(ValueError, match=message):
        predict(WORKLOAD, chips((2, 2)), assumptions)


def test_all_figures_are_plain_values(criteo):
    prediction = predict(criteo, parse_slice("h100:8"))
    values = json.loads(json.dumps(prediction.to_dict()))
    assert values["name"] == "h100:8"
    assert values["step_seconds"] == list(prediction.step_seconds)
    assert values["cost"] == list(prediction.cost)


def test_the_reader_s_rate_is_that_of_the_page():
    page = (Path(__file__).parents[2] / "docs" / "input.md").read_text("utf-8")
    rate = f"{Assumptions().reader_examples_per_second:,.0f}"
    assert f"read_blocks                  {rate}" in page
