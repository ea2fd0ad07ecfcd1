"""pipelines/blocks.py against a reader that follows docs/blocks.md in NumPy."""

import dataclasses
import hashlib
import json
import math
import struct
import tempfile

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.pipelines import Batch, Categorical, Label, Numeric, Schema, read_text
from smelu_tf.pipelines.blocks import (
    BlockWriter,
    block_errors,
    read_blocks,
    read_manifest,
    verify_blocks,
    write_blocks,
)

CATEGORICAL = (
    Categorical("small", vocabulary=("a", "b", "c")),
    Categorical("large", buckets=70_000),
    Categorical("medium", buckets=300),
    Categorical("tiny", buckets=5),
)
NUMERIC = (Numeric("count", binned=True), Numeric("age", "float64", "none"))
SCHEMAS = {
    "weighted": Schema("weighted", NUMERIC, CATEGORICAL, weight="w"),
    "plain": Schema("plain", NUMERIC, CATEGORICAL),
    "numeric only": Schema("numbers", (Numeric("x"), Numeric("y", "float64")), ()),
    "categorical only": Schema("ids", (), CATEGORICAL, Label("click")),
}
SCHEMA = SCHEMAS["weighted"]
NUM_ROWS = 1003
SIZES = {"rows_per_block": 50, "blocks_per_shard": 4}


def write_rows(path, schema, num_rows=NUM_ROWS):
    """Rows of every kind of value: negative zeros, infinities to be, missing ones."""
    rng = np.random.default_rng(5)

    def value(field):
        if field == schema.label.name:
            return str(rng.integers(2))
        if field == schema.weight:
            return f"{rng.random():.4f}"
        if rng.random() < 0.2:
            return ""
        if field in ("count", "x"):
            return str(rng.integers(-3, 2000))
        if field in ("age", "y"):
            return rng.choice(["-0.0", "1e39", f"{1e4 + rng.normal():.6f}"])
        return rng.choice(["a", "b", "c", "d", *map(str, range(500))])

    lines = ("\t".join(map(value, schema.fields)) for _ in range(num_rows))
    path.write_text("".join(line + "\n" for line in lines))
    return path


@pytest.fixture(scope="module", params=SCHEMAS)
def data(request, tmp_path_factory):
    """A schema, and its rows as one batch of NumPy arrays."""
    schema = SCHEMAS[request.param]
    path = write_rows(tmp_path_factory.mktemp("text") / "rows.tsv", schema)
    (batch,) = read_text(path, schema, 10_000).as_numpy_iterator()
    return schema, batch


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    """The rows of the weighted schema, and a folder of their blocks."""
    folder = tmp_path_factory.mktemp("weighted")
    path = write_rows(folder / "rows.tsv", SCHEMA)
    (batch,) = read_text(path, SCHEMA, 10_000).as_numpy_iterator()
    write_blocks([batch], SCHEMA, folder / "blocks", **SIZES)
    return batch, folder / "blocks"


def cut(batch, begin, end):
    return tf.nest.map_structure(lambda x: x[begin:end], batch)


def batches_of(batch, size):
    return [cut(batch, i, i + size) for i in range(0, len(batch.label), size)]


def assert_same_bits(received, expected):
    for ours, theirs in zip(
        tf.nest.flatten(received), tf.nest.flatten(expected), strict=True
    ):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        assert ours.tobytes() == theirs.tobytes()


def files_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def copy_of(folder, to):
    to.mkdir()
    for name, content in files_of(folder).items():
        (to / name).write_bytes(content)
    return to


def _ref_read(folder):
    """All rows of a data set: columns by section and name, as docs/blocks.md says."""
    manifest = json.loads((folder / "manifest.json").read_text())
    columns: dict = {}
    block = 0
    for shard in manifest["shards"]:
        data = (folder / shard["name"]).read_bytes()
        assert len(data) == shard["num_bytes"]
        while data:
            (length,) = struct.unpack_from("<Q", data)
            record, data = data[12 : 12 + length], data[length + 16 :]
            magic, version, num_rows, index, fingerprint = struct.unpack_from(
                "<8sIIQ8s", record
            )
            assert (magic, version, index) == (b"SMELUBLK", 1, block)
            assert fingerprint.hex() == manifest["fingerprint"]
            end = 32
            for section in manifest["layout"]:
                dtype = np.dtype("<" + np.dtype(section["dtype"]).str[1:])
                for j, name in enumerate(section["columns"]):
                    start = 32 + num_rows * (section["position"] + j * dtype.itemsize)
                    assert start == end
                    values = np.frombuffer(record, dtype, num_rows, start)
                    columns.setdefault((section["name"], name), []).append(values)
                    end = start + values.nbytes
            assert end == length
            block += 1
    return {key: np.concatenate(values) for key, values in columns.items()}


@pytest.mark.parametrize("rows_per_block", [1, 64, 1003, 4096])
@pytest.mark.parametrize("batch_size", [64, 100, 5000])
def test_batches_come_back_bit_for_bit(data, tmp_path, rows_per_block, batch_size):
    schema, batch = data
    write_blocks(
        batches_of(batch, 117),
        schema,
        tmp_path,
        rows_per_block=rows_per_block,
        blocks_per_shard=300,
    )
    dataset = read_blocks(tmp_path, schema, batch_size)
    received = list(dataset.as_numpy_iterator())
    expected = batches_of(batch, batch_size)
    assert len(received) == len(expected)
    for ours, theirs in zip(received, expected, strict=True):
        assert_same_bits(ours, theirs)


def test_the_dataset_has_the_structure_of_the_text_reader(data, tmp_path):
    schema, batch = data
    path = write_rows(tmp_path / "rows.tsv", schema, 10)
    write_blocks([batch], schema, tmp_path / "blocks", **SIZES)
    expected = read_text(path, schema, 50).element_spec
    assert read_blocks(tmp_path / "blocks", batch_size=50).element_spec == expected
    assert read_blocks(tmp_path / "blocks", batch_size=60).element_spec == expected


def test_bytes_are_laid_out_as_documented(data, tmp_path):
    schema, batch = data
    manifest = write_blocks([batch], schema, tmp_path, **SIZES)
    columns = _ref_read(tmp_path)
    value, missing = batch.features["numeric"].T[::2], batch.features["numeric"].T[1::2]
    expected = {("label", schema.label.name): batch.label}
    if schema.weight:
        expected["weight", schema.weight] = batch.weight
    for column, x, is_missing in zip(schema.numeric, value, missing, strict=True):
        expected["numeric", column.name] = np.where(is_missing, np.nan, x)
    bits = dict(zip(schema.id_columns, (8, 32, 16, 8, 8), strict=False))
    for name, x in zip(schema.id_columns, batch.features["ids"].T, strict=True):
        expected[f"ids{bits[name]}", name] = x
    assert columns.keys() == expected.keys()
    for key, values in columns.items():
        np.testing.assert_array_equal(values, expected[key], str(key))
    assert [shard.num_rows for shard in manifest.shards] == [200] * 5 + [3]
    assert [shard.num_blocks for shard in manifest.shards] == [4] * 5 + [1]


def test_ids_have_the_narrowest_type_that_holds_them(tmp_path):
    sizes = (2, 256, 257, 65_536, 65_537)
    columns = tuple(Categorical(f"c{n}", buckets=n) for n in sizes)
    largest = np.array([sizes], np.int32) - 1
    features = {"numeric": np.zeros((1, 0), np.float32), "ids": largest}
    one = np.ones(1, np.float32)
    schema = Schema("s", (), columns)
    manifest = write_blocks([Batch(features, one, one)], schema, tmp_path)
    names = {section.name: section.columns for section in manifest.layout}
    assert names["ids8"] == ("c2", "c256")
    assert names["ids16"] == ("c257", "c65536")
    assert names["ids32"] == ("c65537",)
    (batch,) = read_blocks(tmp_path).as_numpy_iterator()
    np.testing.assert_array_equal(batch.features["ids"], largest)


def test_the_manifest_is_what_the_file_says(weighted):
    _, folder = weighted
    manifest = read_manifest(folder)
    data = (folder / "manifest.json").read_bytes()
    values = json.loads(data)
    assert Schema.from_dict(values["schema"]) == SCHEMA == manifest.schema
    assert values["fingerprint"] == SCHEMA.fingerprint()
    body = data[: data.rindex(b'\n "checksum"')]
    assert values["checksum"] == hashlib.sha256(body).hexdigest()
    for shard in values["shards"]:
        content = (folder / shard["name"]).read_bytes()
        assert shard["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest.to_json() == data


def test_statistics_are_those_of_numpy(data, tmp_path):
    schema, batch = data
    statistics = write_blocks([batch], schema, tmp_path, **SIZES).statistics
    assert statistics.click_rate == np.mean(batch.label)
    assert math.isclose(statistics.weight_sum, np.sum(batch.weight, dtype=np.float64))
    numeric = batch.features["numeric"].astype(np.float64)
    for i, column in enumerate(statistics.numeric):
        value, missing = numeric[:, 2 * i], numeric[:, 2 * i + 1]
        finite = value[(missing == 0) & np.isfinite(value)]
        assert column.missing_rate == missing.mean()
        np.testing.assert_allclose(column.mean, finite.mean(), rtol=1e-12)
        np.testing.assert_allclose(column.standard_deviation, finite.std(), rtol=1e-12)
    assert [c.name for c in statistics.numeric] == [c.name for c in schema.numeric]
    assert tuple(c.name for c in statistics.ids) == schema.id_columns
    for column, ids in zip(statistics.ids, batch.features["ids"].T, strict=True):
        assert column.missing_rate == np.mean(ids == 0)
        unknown = np.mean(ids == 1) if column.name == "small" else None
        assert column.unknown_rate == unknown
        assert column.num_distinct == len(np.unique(ids))


@pytest.mark.parametrize("batch_size", [50, 70])
@pytest.mark.parametrize(
    "start, stop",
    [
        (0, 1),
        (49, 51),
        (50, 100),
        (200, None),
        (777, 1003),
        (1003, None),
        (401, 950),
        (5, 5),
    ],
)
def test_reading_starts_and_stops_at_any_row(weighted, start, stop, batch_size):
    batch, folder = weighted
    dataset = read_blocks(folder, None, batch_size, start=start, stop=stop)
    received = list(dataset.as_numpy_iterator())
    for ours, theirs in zip(
        received, batches_of(cut(batch, start, stop), batch_size), strict=True
    ):
        assert_same_bits(ours, theirs)


def test_what_lies_before_the_start_is_not_read(weighted, tmp_path):
    batch, folder = weighted
    folder = copy_of(folder, tmp_path / "blocks")
    for name, place in ("shard-00000.blocks", 100), ("shard-00001.blocks", 100):
        content = bytearray((folder / name).read_bytes())
        content[place] ^= 1
        (folder / name).write_bytes(content)
    (received,) = read_blocks(folder, None, 753, start=250).as_numpy_iterator()
    assert_same_bits(received, cut(batch, 250, None))


@pytest.mark.parametrize("start, stop", [(-1, None), (5, 4), (0, 1004), (1004, None)])
def test_rows_that_are_not_there_are_refused(weighted, start, stop):
    with pytest.raises(ValueError, match="expected 0 <= start <= stop <= 1003 rows"):
        read_blocks(weighted[1], start=start, stop=stop)


def test_every_damaged_byte_is_found(tmp_path):
    schema = Schema("s", (Numeric("x"),), (Categorical("c", buckets=9),))
    features = {
        "numeric": np.array([[1, 0], [0, 1], [2, 0]], np.float32),
        "ids": np.array([[8], [0], [3]], np.int32),
    }
    batch = Batch(features, np.array([0, 1, 1], np.float32), np.ones(3, np.float32))
    folder = tmp_path / "blocks"
    write_blocks([batch], schema, folder, rows_per_block=1, blocks_per_shard=2)
    assert verify_blocks(folder).num_rows == 3
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        assert len(content) > 50
        for place in range(len(content)):
            for mask in (1 << place % 8, 0xFF):
                damaged = bytearray(content)
                damaged[place] ^= mask
                path.write_bytes(damaged)
                with pytest.raises(ValueError, match=path.name):
                    verify_blocks(folder)
        path.write_bytes(content)
    verify_blocks(folder)


def test_reading_names_the_damaged_block(weighted, tmp_path):
    folder = copy_of(weighted[1], tmp_path / "blocks")
    path = folder / "shard-00002.blocks"
    content = path.read_bytes()
    size = len(content) // 4
    dataset = read_blocks(folder, batch_size=50)
    places = {8: 0, 0: 0, 11: 0, 12: 0, size - 1: 0, size + 40: 1, len(content) - 1: 3}
    for place, block in places.items():
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"00002\.blocks, block {8 + block}: exp"):
            with block_errors(folder):
                list(dataset)


def record(content):
    """A record as TFRecord frames it."""
    with tempfile.NamedTemporaryFile() as file:
        with tf.io.TFRecordWriter(file.name) as writer:
            writer.write(content)
        return file.read()


@pytest.mark.parametrize("kind", ["order", "fingerprint", "length", "short", "version"])
def test_a_whole_record_that_is_another_is_named(weighted, tmp_path, kind):
    folder = copy_of(weighted[1], tmp_path / "blocks")
    path = folder / "shard-00001.blocks"
    content = path.read_bytes()
    size = len(content) // 4
    blocks = [content[i * size : (i + 1) * size] for i in range(4)]
    body = blocks[1][12:-4]
    if kind == "order":
        blocks[1], blocks[2] = blocks[2], blocks[1]
    if kind == "fingerprint":
        blocks[1] = record(body[:24] + b"\0" + body[25:])
    if kind == "version":
        blocks[1] = record(body[:8] + b"\2" + body[9:])
    if kind == "length":  # the file's size stays
        blocks[1] = record(body[:-1])
        blocks[2] = record(blocks[2][12:-4] + b"\0")
    if kind == "short":
        blocks[1] = record(body[:5])
        blocks[2] = record(blocks[2][12:-4] + bytes(len(body) - 5))
    path.write_bytes(b"".join(blocks))
    assert path.stat().st_size == len(content)
    with pytest.raises(
        ValueError, match=r"00001\.blocks, block 5: expected the length"
    ):
        with block_errors(folder):
            list(read_blocks(folder, batch_size=50))


def test_a_change_that_leaves_every_block_readable_is_found(weighted, tmp_path):
    folder = copy_of(weighted[1], tmp_path / "blocks")
    path = folder / "shard-00005.blocks"
    body = path.read_bytes()[12:-4]
    path.write_bytes(record(body[:-1] + bytes([body[-1] ^ 1])))  # the last label
    assert len(list(read_blocks(folder, batch_size=50))) == 21
    with pytest.raises(ValueError, match=r"00005\.blocks: expected the sha256"):
        verify_blocks(folder)


def test_other_errors_pass_through(weighted):
    with pytest.raises(tf.errors.InvalidArgumentError), block_errors(weighted[1]):
        tf.debugging.Assert(False, ["another"])


def test_another_schema_is_refused_with_what_differs(weighted):
    other = dataclasses.replace(SCHEMA, seed=1, numeric=NUMERIC[:1], fields=())
    with pytest.raises(
        ValueError, match="differs in the numeric columns .*, fields, seed"
    ):
        read_blocks(weighted[1], other)
    read_blocks(weighted[1], dataclasses.replace(SCHEMA, name="renamed"))


@pytest.mark.parametrize("read", [read_blocks, verify_blocks])
def test_files_that_are_not_there_or_not_whole_are_named(weighted, tmp_path, read):
    folder = copy_of(weighted[1], tmp_path / "blocks")
    path = folder / "shard-00003.blocks"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    size = len(content)
    expected = rf"00003\.blocks: expected a shard of {size} bytes, received {size - 1}"
    with pytest.raises(ValueError, match=expected):
        read(folder)
    path.unlink()
    with pytest.raises(ValueError, match=r"00003\.blocks: .* bytes, received none"):
        read(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"manifest\.json: expected .* received none"):
        read(folder)


def test_another_version_is_refused(weighted, tmp_path):
    folder = copy_of(weighted[1], tmp_path / "blocks")
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2', 1))
    with pytest.raises(ValueError, match="expected blocks of version 1, received 2"):
        read_blocks(folder)


def interrupted(batches, number):
    yield from batches[:number]
    raise KeyError("interrupted")


@pytest.mark.parametrize("number", [0, 1, 5, 6, 11, 18, 34])
def test_an_interrupted_writer_goes_on_to_the_same_bytes(weighted, tmp_path, number):
    batch, expected = weighted
    batches = batches_of(batch, 30)
    with pytest.raises(KeyError):
        write_blocks(interrupted(batches, number), SCHEMA, tmp_path, **SIZES)
    finished = 30 * number // 200
    full = {f"shard-{i:05}.blocks" for i in range(finished)}
    assert {path.name for path in tmp_path.iterdir()} == full
    if full:
        with pytest.raises(ValueError, match="expected a folder without blocks"):
            write_blocks(batches, SCHEMA, tmp_path, **SIZES)
    writer = BlockWriter(tmp_path, SCHEMA, resume=True, **SIZES)
    assert writer.num_rows == finished * 200
    writer.write(batches_of(cut(batch, writer.num_rows, None), 77))
    assert files_of(tmp_path) == files_of(expected)


@pytest.mark.parametrize("kind", ["damaged", "absent", "truncated", "short", "foreign"])
def test_only_good_shards_are_kept(weighted, tmp_path, kind):
    batch, expected = weighted
    folder = copy_of(expected, tmp_path / "blocks")
    (folder / "manifest.json").unlink()
    (folder / ".shard-00005.blocks.1.partial").touch()
    path = folder / "shard-00002.blocks"
    content = bytearray(path.read_bytes())
    kept = 400
    if kind == "damaged":
        content[-20] ^= 1
        path.write_bytes(content)
    elif kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "absent":
        path.unlink()
    elif kind == "short":  # the last shard has no full block
        kept = 1000
    else:
        path = folder / "shard-00000.blocks"
        other = dataclasses.replace(SCHEMA, seed=1)
        write_blocks([cut(batch, 0, 200)], other, tmp_path / "other", **SIZES)
        path.write_bytes((tmp_path / "other" / path.name).read_bytes())
        kept = 0
    writer = BlockWriter(folder, SCHEMA, resume=True, **SIZES)
    assert writer.num_rows == kept
    assert len(list(folder.iterdir())) == kept // 200
    writer.write([cut(batch, kept, None)])
    assert files_of(folder) == files_of(expected)


def test_a_finished_data_set_is_not_written_to(weighted):
    with pytest.raises(ValueError, match="expected a folder without blocks"):
        BlockWriter(weighted[1], SCHEMA, resume=True, **SIZES)


def test_no_rows_are_an_error_and_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match="expected rows to write, received none"):
        write_blocks([], SCHEMA, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["rows_per_block", "blocks_per_shard"])
def test_numbers_below_one_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}: expected 1 or more, received 0"):
        BlockWriter(tmp_path, SCHEMA, **{name: 0})


def test_a_schema_that_is_not_counted_is_refused(tmp_path):
    schema = Schema("s", (), (Categorical("c", min_count=2),))
    with pytest.raises(ValueError, match="not counted yet"):
        BlockWriter(tmp_path, schema)


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"label": np.array([0.5], np.float32)}, "labels of 0 or 1"),
        ({"ids": np.array([[0, 0, 300, 0, 0]], np.int32)}, "ids from 0 to num_ids"),
        ({"ids": np.array([[-1, 0, 0, 0, 0]], np.int32)}, "ids from 0 to num_ids"),
        ({"ids": np.zeros((1, 4), np.int32)}, "of the shapes"),
        ({"numeric": np.array([[np.nan, 0, 0, 0]], np.float32)}, "numbers"),
        ({"numeric": np.array([[2, 1, 0, 0]], np.float32)}, "numbers"),
        ({"weight": np.array([2], np.float32)}, "weights of 1"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(tmp_path, change, expected):
    values = {
        "numeric": np.zeros((1, 4), np.float32),
        "ids": np.zeros((1, 5), np.int32),
        "label": np.zeros(1, np.float32),
        "weight": np.ones(1, np.float32),
        **change,
    }
    features = {name: values[name] for name in ("numeric", "ids")}
    batch = Batch(features, values["label"], values["weight"])
    with pytest.raises(ValueError, match=expected):
        write_blocks([batch], SCHEMAS["plain"], tmp_path)
    assert list(tmp_path.iterdir()) == []
