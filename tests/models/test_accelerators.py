"""models/accelerators.py: names of slices, and what chips exchange at best."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smelu_tf.models.accelerators import ACCELERATORS, Slice, parse_slice

GB = 1e9


def test_every_accelerator_has_figures_and_their_sources():
    for name, accelerator in ACCELERATORS.items():
        assert accelerator.name == name
        figures = dataclasses.asdict(accelerator)
        assert all(
            v > 0 for k, v in figures.items() if isinstance(v, int | float) and v
        )
        text = " ".join(accelerator.sources)
        assert "FLOPs" in text and "memory" in text and "USD an hour" in text


@pytest.mark.parametrize(
    ("text", "num_chips", "num_hosts"),
    [("v5e:4x4", 16, 2), ("v4:2x2x4", 16, 4), ("h100:8", 8, 1), ("v6e:1x1", 1, 1)],
)
def test_a_name_gives_chips_and_their_machines(text, num_chips, num_hosts):
    chips = parse_slice(text)
    assert (chips.name, chips.num_chips, chips.num_hosts) == (
        text,
        num_chips,
        num_hosts,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v9:4x4", "expected one of v4, v5e, v5p, v6e, h100, received 'v9'"),
        ("", "expected one of v4"),
        ("v5e", "expected a shape as in v5e:4x4, numbers from 1 to 16, received 'v5e'"),
        ("v5e:4x4x4", "as in v5e:4x4, numbers from 1 to 16, received 'v5e:4x4x4'"),
        ("v5e:4x32", "received 'v5e:4x32'"),
        ("v4:4x4", "as in v4:4x4x4"),
        ("v4:0x4x4", "received 'v4:0x4x4'"),
        ("v5e:4xx4", "received 'v5e:4xx4'"),
        ("v5e:-4x4", "received 'v5e:-4x4'"),
        ("h100:16", "as in h100:4, numbers from 1 to 8, received 'h100:16'"),
    ],
)
def test_another_name_is_an_error(text, message):
    with pytest.raises(ValueError, match=f"accelerator: .*{message}"):
        parse_slice(text)


def test_one_chip_exchanges_nothing():
    for text in ("v5e:1x1", "v4:1x1x1", "h100:1"):
        chips = parse_slice(text)
        assert chips.all_to_all_seconds(GB) == chips.all_reduce_seconds(GB) == 0


def test_at_a_switch_a_chip_s_own_link_counts():
    chips = parse_slice("h100:8")
    assert chips.all_to_all_seconds(450 * GB) == pytest.approx(7 / 8)
    assert chips.all_reduce_seconds(450 * GB) == pytest.approx(2 * 7 / 8)


def _ref_all_to_all(chips):
    """Bytes over the busiest cut, chip pair by chip pair: of 1 byte a chip."""
    places = list(itertools.product(*(range(n) for n in chips.shape)))
    seconds = []
    for axis, length in enumerate(chips.shape):
        is_left = np.array([place[axis] < length // 2 for place in places])
        crossing = np.outer(is_left, ~is_left).sum() / len(places)
        num_links = len(places) // length * (2 if length == 16 else 1)
        seconds.append(crossing / num_links / chips.accelerator.link_bandwidth)
    return max(seconds)


@given(st.tuples(st.integers(1, 16), st.integers(1, 16)))
def test_in_a_mesh_the_longest_axis_is_cut_in_the_middle(shape):
    chips = Slice(ACCELERATORS["v5e"], shape)
    assert chips.all_to_all_seconds(1) == pytest.approx(_ref_all_to_all(chips))


def test_a_mesh_adds_up_over_all_its_axes_and_rings_both_ways():
    # 45 GB/s a link: one way over each of two axes.
    assert parse_slice("v5e:4x4").all_reduce_seconds(45 * GB) == pytest.approx(
        2 * 15 / 16 / 2
    )
    assert parse_slice("v5e:16x16").all_reduce_seconds(45 * GB) == pytest.approx(
        2 * 255 / 256 / 4
    )
    assert parse_slice("v5e:1x4").all_reduce_seconds(45 * GB) == pytest.approx(
        2 * 3 / 4
    )


def test_cubes_of_v4_have_rings_and_parts_of_a_cube_do_not():
    cube, part = parse_slice("v4:4x4x4"), parse_slice("v4:2x4x4")
    assert part.all_to_all_seconds(45 * GB) == pytest.approx(1)
    assert cube.all_to_all_seconds(45 * GB) == pytest.approx(0.5)
