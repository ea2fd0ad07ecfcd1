"""pipelines/beam.py: the bytes of `convert`, on Beam's local runner."""

import builtins
import dataclasses
import gzip
import sys

import numpy as np
import pytest

from smelu_tf.pipelines import (
    CRITEO,
    BadRowError,
    Categorical,
    MultiValued,
    Numeric,
    Schema,
    convert,
    verify_blocks,
)

apache_beam = pytest.importorskip("apache_beam")

# Beam brings pyarrow with it.
import pyarrow  # noqa: E402
import pyarrow.parquet  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402

from smelu_tf.pipelines import beam  # noqa: E402
from smelu_tf.pipelines.beam import convert_with_beam  # noqa: E402

HASHED = dataclasses.replace(
    CRITEO,
    categorical=tuple(
        Categorical(c.name, buckets=1000, pattern=c.pattern) for c in CRITEO.categorical
    ),
)
SMALL = Schema("small", (Numeric("n"),), (Categorical("c", 20, pattern="[a-z]*"),))
SETTINGS = dict(rows_per_block=100, blocks_per_shard=4)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def lines_of(criteo_dir, number, num_rows):
    path = criteo_dir / f"day_{number}.tsv"
    return b"".join(path.read_bytes().splitlines(keepends=True)[:num_rows])


def small_files(folder, *texts):
    """A file a text, a row a word: its category, or "bad", which does not parse."""
    files = []
    for i, text in enumerate(texts):
        rows = [word if word == "bad" else f"1\t{i}\t{word}" for word in text.split()]
        path = folder / f"rows_{i}.tsv"
        path.write_text("".join(f"{row}\n" for row in rows))
        files.append(str(path))
    return files


def check_same_bytes(files, schema, tmp_path, **settings):
    """Converts by both; returns the report, the same for both."""
    expected = convert(files, schema, tmp_path / "expected", **SETTINGS)
    report = convert_with_beam(
        files, schema, tmp_path / "blocks", **SETTINGS, **settings
    )
    assert report == expected
    assert contents(tmp_path / "blocks") == contents(tmp_path / "expected")
    verify_blocks(tmp_path / "blocks")
    return report


@pytest.mark.parametrize(
    "schema",
    [CRITEO, pytest.param(HASHED, marks=pytest.mark.slow)],
    ids=["counted", "hashed"],
)
def test_text_becomes_the_same_bytes(criteo_dir, tmp_path, schema):
    files = []
    for number, num_rows in enumerate((730, 553)):
        content = lines_of(criteo_dir, number, num_rows)
        name = f"rows_{number}.tsv" + ".gz" * (number == 1)
        data = gzip.compress(content) if number == 1 else content
        (tmp_path / name).write_bytes(data)
        files.append(str(tmp_path / name))
    report = check_same_bytes(files, schema, tmp_path)
    assert [s.num_rows for s in report.manifest.shards] == [400, 400, 400, 83]
    if schema is CRITEO:
        sizes = [len(c.vocabulary) for c in report.manifest.schema.categorical]
        assert min(sizes) > 0


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(450, 350), (250,)])
def test_rows_may_end_with_a_shard_or_before_the_first_does(tmp_path, sizes):
    files = small_files(tmp_path, *("a " * size for size in sizes))
    report = check_same_bytes(files, SMALL, tmp_path)
    expected = [250] if sizes == (250,) else [400, 400]
    assert [s.num_rows for s in report.manifest.shards] == expected


@pytest.mark.slow
def test_parquet_with_all_that_is_learned_becomes_the_same_bytes(tmp_path):
    schema = Schema(
        "films",
        (
            Numeric("age", transform="none", standardize=True, binned=True),
            Numeric("price", "float64", clip=(0.0, 1.5e4), standardize=True, fill=-1.0),
        ),
        (
            Categorical("user", min_count=3, max_vocabulary=20, oov_buckets=4),
            Categorical("site", buckets=50),
        ),
        multivalued=(MultiValued("genres", min_count=2, max_values=3),),
        weight="w",
    )
    rng = np.random.default_rng(5)
    files = []
    for number, num_rows in enumerate((290, 33, 450)):
        columns = {
            "label": rng.integers(0, 2, num_rows),
            "age": [None if a > 80 else int(a) for a in rng.integers(0, 90, num_rows)],
            "price": 1e4 * number + rng.normal(20, 9, num_rows),
            "user": [f"u{n % 90}" for n in rng.zipf(1.5, num_rows)],
            "site": rng.choice(["a", "b", ""], num_rows),
            "genres": [
                [*rng.choice(["x", "y", "é"], i % 4), f"once {number} {i}"]
                for i in range(num_rows)
            ],
            "w": rng.random(num_rows),
        }
        files.append(str(tmp_path / f"rows_{number}.parquet"))
        pyarrow.parquet.write_table(pyarrow.table(columns), files[-1])
    report = check_same_bytes(files, schema, tmp_path)
    complete = report.manifest.schema
    assert len(complete.categorical[0].vocabulary) == 20
    assert set(complete.multivalued[0].vocabulary) == {"x", "y", "é"}
    assert complete.numeric[0].mean == pytest.approx(40, abs=3)
    assert complete.numeric[1].standard_deviation > 1


@pytest.mark.slow
def test_the_options_say_which_runner(tmp_path):
    options = PipelineOptions(
        [
            "--runner=FnApiRunner",
            "--direct_num_workers=2",
            "--direct_running_mode=multi_threading",
        ]
    )
    files = small_files(tmp_path, "a b c " * 200, "d e " * 200)
    check_same_bytes(files, SMALL, tmp_path, options=options)


def test_bad_rows_within_the_limit_are_passed_over_and_kept(tmp_path):
    texts = ("a bad b " * 2 + "c " * 400, "d " * 77, "bad " + "e " * 20)
    files = small_files(tmp_path, *texts)
    settings = dict(max_bad_rows=3, **SETTINGS)
    expected = convert(files, SMALL, tmp_path / "expected", **settings)
    report = convert_with_beam(files, SMALL, tmp_path / "blocks", **settings)
    assert report == expected
    assert report.num_bad_rows == 3
    ours, theirs = contents(tmp_path / "blocks"), contents(tmp_path / "expected")
    assert ours.pop("rejects-0.txt") == b"bad\nbad\n"
    assert ours.pop("rejects-2.txt") == b"bad\n"
    assert theirs.pop("rejects.txt") == b"bad\nbad\nbad\n"
    assert ours == theirs


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (0, r"^\S*rows_1.tsv, line 3: expected 3 tab-separated fields .*received 1\.$"),
        pytest.param(
            1,
            r"^\S*rows_1.tsv, line 4: expected 3 .*\(bad row 2; max_bad_rows is 1\)$",
            marks=pytest.mark.slow,
        ),
        (2, r"^\S*rows_2.tsv: expected at most 2 bad rows .* received 3\.$"),
    ],
)
def test_a_bad_row_too_many_is_named_in_one_sentence(tmp_path, limit, message):
    files = small_files(tmp_path, "a b", "a b bad bad c", "bad a", "bad bad bad")
    folder = tmp_path / "blocks"
    with pytest.raises(BadRowError, match=message) as error:
        convert_with_beam(files, SMALL, folder, max_bad_rows=limit, **SETTINGS)
    assert "\n" not in str(error.value)
    # Nothing is left for which a call with a higher limit would be refused.
    assert contents(folder) == {}


@pytest.mark.slow
def test_another_fault_of_a_file_is_its_reader_s(tmp_path):
    schema = dataclasses.replace(SMALL, header=True)
    files = small_files(tmp_path, "a", "b")
    (tmp_path / "rows_0.tsv").write_text("label\tn\tc\n1\t2\ta\n")
    with pytest.raises(ValueError, match=r"^\S*rows_1.tsv, line 1: expected a header"):
        convert_with_beam(files, schema, tmp_path / "blocks")


@pytest.mark.slow
@pytest.mark.parametrize("finish", [convert, convert_with_beam])
def test_what_a_failed_one_has_left_is_gone_on_with(tmp_path, monkeypatch, finish):
    files = small_files(tmp_path, "a b c " * 300)
    schema = dataclasses.replace(SMALL, categorical=(Categorical("c", min_count=2),))
    folder, write = tmp_path / "blocks", beam._write_shard

    def failing(shard, folder):
        if shard[0] == 1:
            raise OSError("no space")
        write(shard, folder)

    monkeypatch.setattr(beam, "_write_shard", failing)
    with pytest.raises(OSError, match="no space"):
        convert_with_beam(files, schema, folder, **SETTINGS)
    monkeypatch.undo()
    assert "conversion.json" in contents(folder)
    assert "manifest.json" not in contents(folder)
    (folder / ".beam").mkdir()  # as if it had been killed
    (folder / ".beam" / "files").touch()
    with pytest.raises(ValueError, match="differs in max_bad_rows"):
        convert_with_beam(files, schema, folder, max_bad_rows=1, **SETTINGS)
    finish(files, schema, folder, **SETTINGS)
    expected = tmp_path / "expected"
    report = convert(files, schema, expected, **SETTINGS)
    assert contents(folder) == contents(expected)
    # One that has ended returns at once.
    monkeypatch.setattr(beam, "_converted", None)
    assert convert_with_beam(files, schema, folder, **SETTINGS) == report


@pytest.mark.slow
def test_a_shard_that_is_not_whole_is_an_error(tmp_path, monkeypatch):
    """Not, as it would be of a writer that goes on, a reason to write other rows."""
    files = small_files(tmp_path, "a b " * 450)
    write = beam._write_shard

    def cutting(shard, folder):
        write(shard, folder)
        if shard[0] == 1:
            path = folder / "shard-00001.blocks"
            path.write_bytes(path.read_bytes()[:-1])

    monkeypatch.setattr(beam, "_write_shard", cutting)
    with pytest.raises(ValueError, match="whole shards of 800 rows .* received 400"):
        convert_with_beam(files, SMALL, tmp_path / "blocks", **SETTINGS)
    assert "manifest.json" not in contents(tmp_path / "blocks")


def test_a_folder_of_other_files_is_refused(tmp_path):
    files = small_files(tmp_path, "a b")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(ValueError, match="received one that holds other files"):
        convert_with_beam(files, SMALL, tmp_path / "other")
    assert list(contents(tmp_path / "other")) == ["notes.txt"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"rows_per_block": 0}, "rows_per_block: expected 1 or more, received 0"),
        ({"blocks_per_shard": 0}, "blocks_per_shard: expected 1 or more, received 0"),
        ({"max_bad_rows": -1}, "max_bad_rows: expected 0 or more, received -1"),
    ],
)
def test_settings_are_checked_before_anything_is_read(tmp_path, setting, message):
    files = small_files(tmp_path, "a b")
    with pytest.raises(ValueError, match=message):
        convert_with_beam(files, SMALL, tmp_path / "blocks", **setting)
    assert not (tmp_path / "blocks").exists()


def test_without_the_package_the_command_is_named(tmp_path, monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("apache_beam"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "smelu_tf.pipelines.beam")
    from smelu_tf.pipelines.beam import convert_with_beam as anew  # imports without it

    assert anew is not convert_with_beam
    files = small_files(tmp_path, "a b")
    with pytest.raises(ImportError, match=r"pip install 'smelu-tf\[beam\]'"):
        anew(files, SMALL, tmp_path / "blocks")
    assert not (tmp_path / "blocks").exists()
