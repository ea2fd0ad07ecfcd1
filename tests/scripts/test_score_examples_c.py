"""scripts/score_examples.c: a C program scores as the signature does in Python."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from films import SCHEMA, example_of, make_rows
from script_runs import without_logs
from served_models import random_model

from smelu_tf.models import export_saved_model
from smelu_tf.pipelines import complete_schema

SOURCE = Path(__file__).parents[2] / "scripts" / "score_examples.c"
COLUMNS = {column.name for column in SCHEMA.columns}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc"),
]


def command():
    """The command of the program's head comment, in words."""
    comment = SOURCE.read_text().partition("*/")[0]
    _, _, after = comment.partition("       gcc ")
    text = after.partition("\n\n")[0].replace("\\\n", " ")
    return ["gcc", *shlex.split(text.replace("$TF", tf.sysconfig.get_lib()))]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The program, a SavedModel and a file of 1000 records, in one folder."""
    folder = tmp_path_factory.mktemp("c")
    words = command()
    words[words.index("scripts/score_examples.c")] = str(SOURCE)
    subprocess.run(words, cwd=folder, check=True)
    rows = make_rows(1000)
    frame = {name: [row[name] for row in rows] for name in rows[0]}
    model = random_model(complete_schema(SCHEMA, frame), crosses=("user*site",))
    export_saved_model(model, folder / "export")
    with tf.io.TFRecordWriter(str(folder / "rows.tfrecord")) as file:
        for record in records():
            file.write(record)
    return folder


def records():
    """1000 serialised Examples; some lack columns."""
    rows = make_rows(1000)
    return [example_of({k: row[k] for k in row if k in COLUMNS}) for row in rows]


def run(folder, *arguments, program="score_examples", stdout=subprocess.PIPE):
    """Its exit code, standard output, and standard error without TensorFlow's lines."""
    done = subprocess.run(
        [folder / program, *arguments],
        cwd=folder,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=200,
    )
    return done.returncode, done.stdout, without_logs(done.stderr)


def test_it_scores_as_the_signature_does(work):
    code, out, err = run(work, "export/1", "rows.tfrecord")
    assert code == 0, err
    loaded = tf.saved_model.load(str(work / "export" / "1"))
    signature = loaded.signatures["predict_examples"]
    expected = signature(examples=tf.constant(records()))["probability"]
    assert np.std(expected) > 0.1
    got = np.array(out.split(), np.float32)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_more_than_a_batch(work):
    content = (work / "rows.tfrecord").read_bytes()
    (work / "long.tfrecord").write_bytes(content * 5)
    code, out, err = run(work, "export/1", "long.tfrecord")
    assert code == 0, err
    _, once, _ = run(work, "export/1", "rows.tfrecord")
    expected = np.array(once.split() * 5, np.float32)
    np.testing.assert_allclose(np.array(out.split(), np.float32), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing", "rows.tfrecord"), "nothing: expected a SavedModel, received: "),
        (
            ("export/1", "absent"),
            "absent: expected a file that can be read, received: ",
        ),
        (
            ("export/1", "export"),
            "export: expected a file that can be read, received: ",
        ),
        (
            ("export/1", "cut.tfrecord"),
            "cut.tfrecord, record 2: expected a whole record, received a part of one.",
        ),
        (
            ("export/1", "cut_head.tfrecord"),
            "cut_head.tfrecord, record 1: expected a whole record, received a part",
        ),
        (
            ("export/1", "other.tfrecord"),
            "other.tfrecord, record 1: expected an uncompressed TFRecord, received ",
        ),
        (
            ("export/1", "changed.tfrecord"),
            "changed.tfrecord, record 1: expected bytes of its checksum, received ",
        ),
        (
            ("export/1", "no_example.tfrecord"),
            "no_example.tfrecord, records 1 to 1: expected Examples of the model's "
            "columns, received: Could not parse example input",
        ),
        (("export/1", "empty.tfrecord"), "empty.tfrecord: expected records, received"),
        (
            ("export/1", "rows.tfrecord", "absent"),
            "export/1: expected a signature absent, received none of this name.",
        ),
        (
            ("export/1", "rows.tfrecord", "predict_lines"),
            "signature predict_lines: expected the input examples, received none of ",
        ),
    ],
)
def test_an_error_is_one_sentence_and_exit_code_2(work, arguments, message):
    with tf.io.TFRecordWriter(str(work / "no_example.tfrecord")) as file:
        file.write(b"no Example")
    one = (work / "no_example.tfrecord").read_bytes()
    whole = (work / "rows.tfrecord").read_bytes()
    (size,) = np.frombuffer(whole[:8], "<u8").tolist()
    contents = {
        "cut.tfrecord": whole[: size + 16 + 20],
        "cut_head.tfrecord": whole[:7],
        "other.tfrecord": b"1\t2\t3\n" * 10,
        "changed.tfrecord": one[:12] + b"N" + one[13:],
        "empty.tfrecord": b"",
    }
    for name, content in contents.items():
        (work / name).write_bytes(content)
    code, out, err = run(work, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"score_examples: {message}")
    assert err.count("\n") == 1


def test_what_comes_before_a_bad_record_s_batch_is_printed(work):
    content = (work / "rows.tfrecord").read_bytes()
    (work / "late.tfrecord").write_bytes(content * 2 + b"\0")
    code, out, err = run(work, "export/1", "late.tfrecord")
    assert code == 2
    assert out.count("\n") == 1024
    assert "late.tfrecord, record 2001: expected a whole record" in err


def test_usage(work):
    code, out, err = run(work, "--help")
    assert (code, out.splitlines()[0]) == (
        0,
        "usage: score_examples EXPORT RECORDS [SIGNATURE]",
    )
    code, out, err = run(work, "export/1")
    assert (code, out) == (2, "")
    assert err.startswith("usage: score_examples EXPORT RECORDS [SIGNATURE]")


def test_a_full_disk_is_an_error(work):
    with open("/dev/full", "w") as full:
        code, _, err = run(work, "export/1", "rows.tfrecord", stdout=full)
    assert code == 2
    assert err.startswith("score_examples: standard output: expected to be written")


def test_memory_is_used_as_it_should_be(work):
    words = command()
    words[words.index("scripts/score_examples.c")] = str(SOURCE)
    words[words.index("score_examples")] = "sanitised"
    words += ["-g", "-fsanitize=address,undefined"]
    if subprocess.run(words, cwd=work).returncode:
        pytest.skip("gcc has no sanitisers here")
    arguments = "export/1", "rows.tfrecord"
    code, out, err = run(work, *arguments, program="sanitised")
    assert (code, err) == (0, "")
    assert out == run(work, *arguments)[1]
