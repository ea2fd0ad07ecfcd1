"""Rows as they come in the wild: what becomes of them is written down here, by hand.

Of a line it is written what its fields hold and which ids they have; only logarithms
and hashes are computed. All signatures and the model itself have to agree, to the bit.
"""

import bisect
import dataclasses
import math
import zlib

import numpy as np
import pytest
import tensorflow as tf

from smelu_tf.models import Scorer, WideDeep, WideDeepConfig, export_saved_model
from smelu_tf.models.metrics import probability
from smelu_tf.pipelines import (
    BadRows,
    Categorical,
    Cross,
    MultiValued,
    Numeric,
    Schema,
    read_rows,
)
from smelu_tf.pipelines.columns import BIN_BOUNDARIES

PLAIN = Schema(
    "plain",
    numeric=(
        Numeric("count", binned=True),
        Numeric("price", "float64", transform="none", fill=-1.0),
    ),
    categorical=(
        Categorical("site", vocabulary=("a", "é", "b c", '"q"')),
        Categorical("user", buckets=50, pattern="[0-9a-f]{8}"),
    ),
    multivalued=(MultiValued("tags", vocabulary=("x", "y"), max_values=2),),
    crosses=(Cross(("site", "count_bin"), 100),),
    fields=("count", "price", "site", "user", "tags", "label"),
    seed=3,
)
STRIPPED = dataclasses.replace(PLAIN, name="stripped", strip=True, missing="?")
QUOTED = dataclasses.replace(PLAIN, name="quoted", delimiter=",", quoted=True)

NONE = math.nan  # a number that is missing
LONG = b"z" * 10_000
HEX = b"0a1b2c3d"


@dataclasses.dataclass(frozen=True)
class Row:
    """A line, what it holds, and the ids of that.

    Attributes:
        line: without a label.
        raw: count, price, site, user and tags.
        site: its id: 0 is missing, 1 unknown, 2 to 5 are a, é, b c and "q".
        bin: the id of the count's bin: 0 is missing, 1 below 0.
        tags: their ids: 0 is none at all, 1 unknown, 2 x, 3 y, -1 padding.
        is_read: whether the reader takes the line for training.
    """

    line: bytes
    raw: tuple[float, float, bytes, bytes, bytes]
    site: int
    bin: int
    tags: tuple[int, int]
    is_read: bool = True


def good(**changes):
    """The raw values of a row, some of them others."""
    raw = {"count": 5.0, "price": 1.5, "site": b"a", "user": HEX, "tags": b"x|y"}
    return tuple({**raw, **changes}.values())


REFUSED = False  # by the reader
LAST_BIN = 1 + len(BIN_BOUNDARIES)

PLAIN_ROWS = (
    Row(b"5\t1.5\ta\t0a1b2c3d\tx|y", good(), 2, 7, (2, 3)),
    Row(b"\t\t\t\t", (NONE, NONE, b"", b"", b""), 0, 0, (0, -1)),
    # Numbers.
    Row(b"-5\t-.5\ta\t\ty", (-5.0, -0.5, b"a", b"", b"y"), 2, 1, (3, -1)),
    Row(b"007\t-00.25e1\ta\t\t", (7.0, -2.5, b"a", b"", b""), 2, 8, (0, -1)),
    Row(b"0\t0\ta\t\t", (0.0, 0.0, b"a", b"", b""), 2, 2, (0, -1)),
    Row(b"-0\t5.\ta\t\t", (0.0, 5.0, b"a", b"", b""), 2, 2, (0, -1)),
    Row(
        b"9" * 18 + b"\t1e38\ta\t\t", (1e18, 1e38, b"a", b"", b""), 2, LAST_BIN, (0, -1)
    ),
    Row(
        b"-" + b"9" * 18 + b"\t-1e38\ta\t\t",
        (-1e18, -1e38, b"a", b"", b""),
        2,
        1,
        (0, -1),
    ),
    Row(
        b"9" * 19 + b"\t1e400\ta\t\t",
        (NONE, NONE, b"a", b"", b""),
        2,
        0,
        (0, -1),
        REFUSED,
    ),
    Row(
        b"-9223372036854775808\t%s\ta\t\t" % (b"1" * 41),
        (NONE, NONE, b"a", b"", b""),
        2,
        0,
        (0, -1),
        REFUSED,
    ),
    *(
        Row(
            b"%s\t%s\ta\t0a1b2c3d\tx|y" % (count, price),
            good(count=NONE, price=NONE),
            2,
            0,
            (2, 3),
            REFUSED,
        )
        for count, price in (
            (b"nan", b"NaN"),
            (b"inf", b"-inf"),
            (b"Infinity", b"1.#INF"),
            (b"NULL", b"null"),
            (b"0x1F", b"0x1p3"),
            (b"+5", b"+1.5"),
            (b"1,000", b"1,5"),
            (b"1_000", b"1_0.5"),
            (b"-", b"-"),
            (b"--5", b"."),
            (b" 5", b"1.5 "),
            (b'"5"', b'"1.5"'),
            (b"\xd9\xa3", b"\xef\xbc\x91"),  # digits, but of other scripts
            (b"\xef\xbb\xbf5", b"\xe2\x88\x921"),  # a byte order mark, a minus sign
            (b"\xff", b"\xc3"),
            (b"5\x00", b"1.5\x00"),
            (b"5\n", b"1.5\n"),
        )
    ),
    *(
        Row(line, good(count=NONE, price=1000.0), 2, 0, (2, 3), REFUSED)
        for line in (
            b"1.0\t1e3\ta\t0a1b2c3d\tx|y",  # an integer column takes no such text
            b"1e3\t1E+3\ta\t0a1b2c3d\tx|y",
        )
    ),
    # Text.
    Row(b"5\t1.5\t\xc3\xa9\t0a1b2c3d\tx|y", good(site="é".encode()), 3, 7, (2, 3)),
    Row(b"5\t1.5\te\xcc\x81\t0a1b2c3d\tx|y", good(site=b"e\xcc\x81"), 1, 7, (2, 3)),
    Row(
        b"5\t1.5\tA\t0A1B2C3D\tX",
        good(site=b"A", user=b"0A1B2C3D", tags=b"X"),
        1,
        7,
        (1, -1),
        REFUSED,
    ),
    Row(b"5\t1.5\tb c\t0a1b2c3d\tx|y", good(site=b"b c"), 4, 7, (2, 3)),
    Row(b'5\t1.5\t"q"\t0a1b2c3d\t"x"', good(site=b'"q"', tags=b'"x"'), 5, 7, (1, -1)),
    Row(b'5\t1.5\t"a\t0a1b2c3d\tx""', good(site=b'"a', tags=b'x""'), 1, 7, (1, -1)),
    Row(
        b"5\t1.5\t a\tz \t x|y",
        good(site=b" a", user=b"z ", tags=b" x|y"),
        1,
        7,
        (1, 3),
        REFUSED,
    ),
    Row(
        b"5\t1.5\t\xff\xfe\t\xc3\t\xe9|x",
        good(site=b"\xff\xfe", user=b"\xc3", tags=b"\xe9|x"),
        1,
        7,
        (1, 2),
        REFUSED,
    ),
    Row(
        b"5\t1.5\ta\x00\tz\x00z\tx\x00|y",
        good(site=b"a\x00", user=b"z\x00z", tags=b"x\x00|y"),
        1,
        7,
        (1, 3),
        REFUSED,
    ),
    Row(
        b"5\t1.5\ta\nb\tz\nz\tx\n|y",
        good(site=b"a\nb", user=b"z\nz", tags=b"x\n|y"),
        1,
        7,
        (1, 3),
        REFUSED,
    ),
    Row(
        b"5\t1.5\t%s\t%s\tx" % (LONG, LONG),
        good(site=LONG, user=LONG, tags=b"x"),
        1,
        7,
        (2, -1),
        REFUSED,
    ),
    Row(
        b"5\t1.5\t%s\t\t%s" % (LONG, b"x|" * 5000),
        good(site=LONG, user=b"", tags=b"x|" * 5000),
        1,
        7,
        (2, 2),
    ),
    Row(b"5\t1.5\ta\t\t||y||x|x", good(user=b"", tags=b"||y||x|x"), 2, 7, (3, 2)),
    Row(b"5\t1.5\ta\t\t|", good(user=b"", tags=b"|"), 2, 7, (0, -1)),
    Row(
        b"5\t1.5\t?\t?\t?",
        good(site=b"?", user=b"?", tags=b"?"),
        1,
        7,
        (1, -1),
        REFUSED,
    ),
    # Ends of lines.
    Row(b"5\t1.5\ta\t0a1b2c3d\tx|y\r", good(), 2, 7, (2, 3)),
    Row(b"5\t1.5\ta\t0a1b2c3d\tx|y\r\n", good(), 2, 7, (2, 3)),
    Row(b"5\t1.5\ta\t0a1b2c3d\tx|y\n", good(), 2, 7, (2, 3)),
    Row(b"5\r\t1.5\r\ta\r\t0a1b2c3d\tx|\ry", good(), 2, 7, (2, 3)),
)

STRIPPED_ROWS = (
    Row(b"5\t1.5\ta\t0a1b2c3d\tx|y", good(), 2, 7, (2, 3)),
    Row(b"  5 \t 1.5\ta  \t 0a1b2c3d\tx|y ", good(), 2, 7, (2, 3)),
    Row(b"5\t1.5\ta\t0a1b2c3d\tx|y  \r\n", good(), 2, 7, (2, 3)),
    Row(b" \t  \t\t \t   ", (NONE, NONE, b"", b"", b""), 0, 0, (0, -1)),
    Row(b"?\t?\t?\t?\t?", (NONE, NONE, b"", b"", b""), 0, 0, (0, -1)),
    Row(b" ? \t? \t ?\t ? \t ?", (NONE, NONE, b"", b"", b""), 0, 0, (0, -1)),
    Row(
        b"??\t??\t??\t\t??|?", (NONE, NONE, b"??", b"", b"??|?"), 1, 0, (1, 1), REFUSED
    ),
    Row(
        b"5 5\t1. 5\tb c\t\t x | y",
        (NONE, NONE, b"b c", b"", b"x | y"),
        4,
        0,
        (1, 1),
        REFUSED,
    ),
    # No-break spaces are none that are taken off.
    Row(
        b"5\t1.5\t\xc2\xa0a\t\ty",
        good(site=b"\xc2\xa0a", user=b"", tags=b"y"),
        1,
        7,
        (3, -1),
    ),
    Row(
        b"5\t1.5\t \xff \t \xc3\ty",
        good(site=b"\xff", user=b"\xc3", tags=b"y"),
        1,
        7,
        (3, -1),
        REFUSED,
    ),
    Row(
        b"5\t1.5\t %s \t\ty" % LONG, good(site=LONG, user=b"", tags=b"y"), 1, 7, (3, -1)
    ),
)

QUOTED_ROWS = (
    Row(b"5,1.5,a,0a1b2c3d,x|y", good(), 2, 7, (2, 3)),
    Row(b'"5","1.5","a","0a1b2c3d","x|y"', good(), 2, 7, (2, 3)),
    Row(b'"5","1.5","a","0a1b2c3d","x|y"\r\n', good(), 2, 7, (2, 3)),
    Row(b",,,,", (NONE, NONE, b"", b"", b""), 0, 0, (0, -1)),
    Row(b'"","","","",""', (NONE, NONE, b"", b"", b""), 0, 0, (0, -1)),
    Row(
        b'" 5",1.5 , a,,"x |y"',
        (NONE, NONE, b" a", b"", b"x |y"),
        1,
        0,
        (1, 3),
        REFUSED,
    ),
    Row(b'nan,"inf",a,,', (NONE, NONE, b"a", b"", b""), 2, 0, (0, -1), REFUSED),
    Row(
        b'5,1.5,"""q""",0a1b2c3d,"x|""y"""',
        good(site=b'"q"', tags=b'x|"y"'),
        5,
        7,
        (2, 1),
    ),
    Row(
        b'5,1.5,"a,b","","x,y"', good(site=b"a,b", user=b"", tags=b"x,y"), 1, 7, (1, -1)
    ),
    Row(
        b'5,1.5,"a\nb",,"y\r\n"',
        good(site=b"a\nb", user=b"", tags=b"y\n"),
        1,
        7,
        (1, -1),
        REFUSED,
    ),
    Row(
        b'5,1.5,"\xff",\xc3,"\xe9|x"',
        good(site=b"\xff", user=b"\xc3", tags=b"\xe9|x"),
        1,
        7,
        (1, 2),
        REFUSED,
    ),
    Row(
        b'5,1.5,\xc3\xa9,,"\xf0\x9f,|y"',
        good(site="é".encode(), user=b"", tags=b"\xf0\x9f,|y"),
        3,
        7,
        (1, 3),
        REFUSED,
    ),
    Row(
        b'5,1.5,"a\x00",z\x00,x',
        good(site=b"a\x00", user=b"z\x00", tags=b"x"),
        1,
        7,
        (2, -1),
        REFUSED,
    ),
    Row(b'5,1.5,"%s",,x' % LONG, good(site=LONG, user=b"", tags=b"x"), 1, 7, (2, -1)),
    Row(
        b"5,1.5,'a','0a1b2c3d',x",
        good(site=b"'a'", user=b"'0a1b2c3d'", tags=b"x"),
        1,
        7,
        (2, -1),
        REFUSED,
    ),
)

ROWS = {"plain": PLAIN_ROWS, "stripped": STRIPPED_ROWS, "quoted": QUOTED_ROWS}


def _ref_hash(text: bytes, name: str, buckets: int) -> int:
    key = [PLAIN.seed, zlib.crc32(name.encode())]
    return int(tf.strings.to_hash_bucket_strong([text], buckets - 1, key)[0]) + 1


def _ref_features(rows):
    """The features of rows whose ids are written down, as the contracts say."""
    numeric, ids = [], []
    for row in rows:
        count, price, _, user, _ = row.raw
        is_count, is_price = math.isfinite(count), math.isfinite(price)
        log = math.log1p(max(count, 0.0)) if is_count else 0.0
        numeric.append([log, not is_count, price if is_price else -1.0, not is_price])
        cross = _ref_hash(b"%d,%d" % (row.site, row.bin), "site_x_count_bin", 100)
        ids.append(
            [
                row.site,
                _ref_hash(user, "user", 50) if user else 0,
                row.bin,
                cross if row.site or row.bin else 0,
            ]
        )
    return {
        "numeric": np.array(numeric, np.float32),
        "ids": np.array(ids, np.int32),
        "tags": np.array([row.tags for row in rows], np.int32),
    }


def feature(*values, kind=None):
    """A feature of an Example, by default of its values' type."""
    kind = kind or type(values[0])
    if kind is bytes:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if kind is int:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def example(**features) -> bytes:
    message = tf.train.Example(features=tf.train.Features(feature=features))
    return message.SerializeToString()


def example_of(row) -> bytes:
    """A row as an Example: what is missing is absent, tags are a list."""
    count, price, site, user, tags = row.raw
    features = {"tags": feature(*tags.split(b"|"))} if tags else {}
    if math.isfinite(count):
        features["count"] = feature(int(count))
    if math.isfinite(price):
        features["price"] = feature(price)
    features |= {n: feature(v) for n, v in (("site", site), ("user", user)) if v}
    return example(**features)


def columns_of(rows):
    """Rows as raw columns by name."""
    columns = zip(*(row.raw for row in rows), strict=True)
    return {
        name: tf.constant(list(values), tf.float64 if name in numbers else tf.string)
        for numbers in [("count", "price")]
        for name, values in zip(PLAIN.feature_fields, columns, strict=True)
    }


class Served:
    """A model of a schema, in memory and as it is loaded from its export."""

    def __init__(self, schema, folder):
        self.schema = schema
        shape = WideDeepConfig(embedding_dim=2, hidden_units=(4,), embedding_stddev=0.5)
        model = WideDeep(schema, shape)
        self.scorer = Scorer.of(model)
        self.loaded = tf.saved_model.load(str(export_saved_model(model, folder)))

    def logit(self, signature, **arguments):
        scores = self.loaded.signatures[signature](**arguments)
        np.testing.assert_array_equal(
            scores["probability"], probability(scores["logit"])
        )
        return scores["logit"].numpy()

    def own_logit(self, rows):
        """The model's own, of the features that are written down."""
        features = _ref_features(rows)
        return self.scorer.logit({n: tf.constant(v) for n, v in features.items()})


SERVED = {}


@pytest.fixture(params=[PLAIN, STRIPPED, QUOTED], ids=lambda schema: schema.name)
def served(request, tmp_path_factory):
    return served_of(request.param, tmp_path_factory)


@pytest.fixture
def plain(tmp_path_factory):
    return served_of(PLAIN, tmp_path_factory)


def served_of(schema, tmp_path_factory):
    if schema.name not in SERVED:
        SERVED[schema.name] = Served(schema, tmp_path_factory.mktemp(schema.name))
    return SERVED[schema.name]


def test_the_bins_written_down_are_those_of_the_boundaries():
    rows = [row for rows in ROWS.values() for row in rows]
    for row in rows:
        count = row.raw[0]
        place = bisect.bisect_right(BIN_BOUNDARIES, count)
        assert row.bin == (0 if math.isnan(count) else 1 + place), row.line


def test_lines_have_the_features_written_down(served):
    rows = ROWS[served.schema.name]
    got = served.loaded.transform_lines(tf.constant([row.line for row in rows]))
    expected = _ref_features(rows)
    assert set(got) == set(expected)
    for i, row in enumerate(rows):
        alone = served.loaded.transform_lines(tf.constant([row.line]))
        for name, values in expected.items():
            np.testing.assert_array_equal(got[name][i], values[i], str(row.line[:80]))
            np.testing.assert_array_equal(alone[name][0], values[i])


def test_every_signature_scores_them_as_the_model_itself(served):
    rows = ROWS[served.schema.name]
    expected = served.own_logit(rows)
    assert np.all(np.isfinite(expected))
    for signature, arguments in (
        ("predict_lines", {"lines": tf.constant([row.line for row in rows])}),
        ("serving_default", columns_of(rows)),
        ("predict_examples", {"examples": tf.constant([*map(example_of, rows)])}),
    ):
        got = served.logit(signature, **arguments)
        np.testing.assert_array_equal(got, expected, signature)


def test_training_reads_them_alike_or_refuses_them(served, tmp_path):
    rows, schema = ROWS[served.schema.name], served.schema
    label = schema.delimiter.encode() + b"1\n"
    # No line of a file holds an end of line.
    rows = [row for row in rows if b"\n" not in row.line.rstrip(b"\r\n")]
    lines = [row.line.rstrip(b"\r\n") + label for row in rows]
    (tmp_path / "rows.txt").write_bytes(b"".join(lines))
    bad_rows = BadRows(len(rows), tmp_path / "rejects.txt", quote=False)
    (batch,) = read_rows(tmp_path / "rows.txt", schema, 100, bad_rows=bad_rows)
    refused = [line for row, line in zip(rows, lines, strict=True) if not row.is_read]
    # Of a schema with strip they come without the spaces around fields.
    rejects = (tmp_path / "rejects.txt").read_bytes()
    assert rejects.replace(b" ", b"") == b"".join(refused).replace(b" ", b"")
    expected = _ref_features([row for row in rows if row.is_read])
    for name, values in expected.items():
        np.testing.assert_array_equal(batch.features[name], values)


@pytest.mark.parametrize(
    ("count", "price", "bin"),
    [
        (math.inf, -math.inf, 0),
        (-math.inf, math.inf, 0),
        (math.nan, math.nan, 0),
        (2.5, 0.1, 4),  # no integer, and taken all the same
        (1e300, 1e-300, LAST_BIN),
        (-1e300, -1e-300, 1),
        (-0.0, -0.0, 2),
        (5e-324, 3e38, 2),
        (2.0**63, -3e38, LAST_BIN),
    ],
)
def test_numbers_by_name_may_be_any(plain, count, price, bin):
    row = Row(b"", good(count=count, price=price), 2, bin, (2, 3))
    got = plain.logit("serving_default", **columns_of([row]))
    np.testing.assert_array_equal(got, plain.own_logit([row]))
    assert np.all(np.isfinite(got))


NOTHING = (NONE, NONE, b"", b"", b"")


@pytest.mark.parametrize(
    ("features", "row"),
    [
        ({}, Row(b"", NOTHING, 0, 0, (0, -1))),
        # A feature without a kind, an empty list of tags, one that no column is of.
        (
            {"count": tf.train.Feature(), "site": tf.train.Feature()},
            Row(b"", NOTHING, 0, 0, (0, -1)),
        ),
        ({"tags": feature(kind=bytes)}, Row(b"", NOTHING, 0, 0, (0, -1))),
        ({"other": feature(1.0)}, Row(b"", NOTHING, 0, 0, (0, -1))),
        (
            {"site": feature(b""), "user": feature(b""), "tags": feature(b"")},
            Row(b"", NOTHING, 0, 0, (0, -1)),
        ),
        (
            {"count": feature(2**63 - 1), "price": feature(math.nan)},
            Row(b"", (2.0**63, NONE, b"", b"", b""), 0, LAST_BIN, (0, -1)),
        ),
        (
            {"count": feature(-(2**63) + 1), "price": feature(math.inf)},
            Row(b"", (-(2.0**63), NONE, b"", b"", b""), 0, 1, (0, -1)),
        ),
        # The least integer is the one that stands for a missing one.
        (
            {"count": feature(-(2**63)), "price": feature(-math.inf)},
            Row(b"", NOTHING, 0, 0, (0, -1)),
        ),
        # 32 bits: 0.1 is another number there.
        (
            {"price": feature(0.1)},
            Row(b"", (NONE, float(np.float32(0.1)), b"", b"", b""), 0, 0, (0, -1)),
        ),
        # Both forms of several values, mixed.
        (
            {"tags": feature(b"", b"y|x", b"x")},
            Row(b"", (NONE, NONE, b"", b"", b"|y|x|x"), 0, 0, (3, 2)),
        ),
        (
            {"site": feature(b"a\t"), "user": feature(b"0a\r\n")},
            Row(b"", (NONE, NONE, b"a\t", b"0a\r\n", b""), 1, 0, (0, -1)),
        ),
    ],
)
def test_examples_of_every_kind(plain, features, row):
    got = plain.logit("predict_examples", examples=tf.constant([example(**features)]))
    np.testing.assert_array_equal(got, plain.own_logit([row]))
    by_name = plain.logit("serving_default", **columns_of([row]))
    np.testing.assert_array_equal(by_name, got)


def test_the_text_of_a_missing_value_is_one_in_every_signature(tmp_path_factory):
    stripped = served_of(STRIPPED, tmp_path_factory)
    nothing = Row(b"", NOTHING, 0, 0, (0, -1))
    expected = stripped.own_logit([nothing])
    texts = {name: feature(b"?") for name in ("site", "user", "tags")}
    got = stripped.logit("predict_examples", examples=tf.constant([example(**texts)]))
    np.testing.assert_array_equal(got, expected)
    columns = columns_of([nothing]) | dict.fromkeys(texts, tf.constant(["?"]))
    got = stripped.logit("serving_default", **columns)
    np.testing.assert_array_equal(got, expected)


WRONG = {
    "plain": [(b"", 1), (b"5", 1), (b"\t\t\t", 4), (b"\t\t\t\t\t", 6)],
    "stripped": [(b"", 1), (b" ? ", 1), (b"\t\t\t", 4), (b"\t\t\t\t ?\t", 6)],
    "quoted": [
        (line, None)
        for line in (
            b"",
            b"5",
            b",,,",
            b",,,,,",
            b'5,1.5,a"b,z,x',
            b'"5,1.5,a,z,x',
            b'5,1.5,"a"b,z,x',
            b'5,1.5, "a" ,z,x',
            b"5,1.5,a\nb,z,x",
        )
    ],
}


def test_a_line_of_another_number_of_fields_names_its_row(served):
    name = served.schema.name
    line = ROWS[name][0].line
    for wrong, received in WRONG[name]:
        message = rf"row 2 of the batch, from 0: expected 5 fields \({name}\)"
        message += f", received {received}" if received else " with quotes in pairs"
        lines = tf.constant([line, line, wrong, line, wrong])
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            served.logit("predict_lines", lines=lines)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"count": feature(5.0)}, "count, .*: float but expected type: int64"),
        ({"count": feature(b"5")}, "count, .*: string but expected type: int64"),
        ({"price": feature(5)}, "price, .*: int64 but expected type: float"),
        ({"site": feature(5)}, "site, .*: int64 but expected type: string"),
        ({"tags": feature(5)}, "tags, .*Expected type: string, Actual type: int64"),
        ({"count": feature(1, 2)}, "count, .*Values size: 2 but output shape"),
        ({"site": feature(b"a", b"b")}, "site, .*Can't parse serialized Example"),
        # Of a column with one value an empty list is no missing value.
        ({"count": feature(kind=int)}, "count, .*Values size: 0 but output shape"),
        ({"site": feature(kind=bytes)}, "site, .*Values size: 0 but output shape"),
    ],
)
def test_an_example_of_another_kind_is_named_with_its_feature(plain, features, message):
    examples = tf.constant([example(), example(**features)])
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=f"Key: {message}"
    ) as error:
        plain.logit("predict_examples", examples=examples)
    assert "Index: 1" in str(error.value)


def test_bytes_that_are_no_example_are_refused(plain):
    with pytest.raises(tf.errors.InvalidArgumentError, match="not parse example input"):
        plain.logit("predict_examples", examples=tf.constant([b"no example"]))
    # The message quotes the bytes, which Python then cannot decode.
    with pytest.raises(UnicodeDecodeError):
        plain.logit("predict_examples", examples=tf.constant([b"\xff"]))


COLUMNS = columns_of(PLAIN_ROWS[:2])


def changed(**columns):
    """The raw columns of two rows, some of them others; None is left out."""
    return {n: v for n, v in {**COLUMNS, **columns}.items() if v is not None}


@pytest.mark.parametrize(
    ("signature", "arguments", "error", "message"),
    [
        # Types.
        (
            "serving_default",
            changed(count=tf.constant([1.0, 2.0])),
            tf.errors.InvalidArgumentError,
            "expected to be a double tensor but is a float tensor",
        ),
        (
            "serving_default",
            changed(count=tf.constant([1, 2], tf.int64)),
            tf.errors.InvalidArgumentError,
            "expected to be a double tensor but is a int64 tensor",
        ),
        (
            "serving_default",
            changed(price=tf.constant(["1", "2"])),
            tf.errors.InvalidArgumentError,
            "expected to be a double tensor but is a string tensor",
        ),
        (
            "serving_default",
            changed(site=tf.constant([1, 2])),
            tf.errors.InvalidArgumentError,
            "expected to be a string tensor but is a int32 tensor",
        ),
        (
            "predict_lines",
            {"lines": tf.constant([1.0])},
            tf.errors.InvalidArgumentError,
            "expected to be a string tensor but is a float tensor",
        ),
        (
            "predict_examples",
            {"examples": tf.constant([1.0])},
            tf.errors.InvalidArgumentError,
            "expected to be a string tensor but is a float tensor",
        ),
        # Ranks and lengths.
        (
            "serving_default",
            changed(count=tf.constant(1.0, tf.float64)),
            tf.errors.InvalidArgumentError,
            "shape|dim|slice|axis",  # whichever operation meets it first
        ),
        (
            "serving_default",
            changed(count=tf.constant([[1.0], [2.0]], tf.float64)),
            tf.errors.InvalidArgumentError,
            "shape|dim|slice|axis",  # whichever operation meets it first
        ),
        (
            "serving_default",
            {name: values[:, None] for name, values in COLUMNS.items()},
            tf.errors.InvalidArgumentError,
            "shape|dim|slice|axis",  # whichever operation meets it first
        ),
        (
            "serving_default",
            changed(tags=tf.constant(["x", "y", "x"])),
            tf.errors.InvalidArgumentError,
            r"expected columns \(B,\) of equally many rows, or of one value",
        ),
        (
            "predict_lines",
            {"lines": tf.constant("x")},
            tf.errors.InvalidArgumentError,
            r"input must be a vector, got shape: \[\]",
        ),
        (
            "predict_lines",
            {"lines": tf.constant([["x"]])},
            tf.errors.InvalidArgumentError,
            r"input must be a vector, got shape: \[1,1\]",
        ),
        # Names.
        (
            "serving_default",
            changed(user=None),
            TypeError,
            "missing a required argument: 'user'",
        ),
        (
            "serving_default",
            changed(label=tf.constant([1.0, 0.0], tf.float64)),
            TypeError,
            "got an unexpected keyword argument 'label'",
        ),
        ("predict_lines", {}, TypeError, "missing a required argument: 'lines'"),
        (
            "predict_lines",
            {"line": tf.constant(["x"])},
            TypeError,
            "missing a required argument: 'lines'",
        ),
        ("predict_examples", {}, TypeError, "missing a required argument: 'examples'"),
    ],
)
def test_inputs_that_are_none_of_the_signature_s(
    plain, signature, arguments, error, message
):
    with pytest.raises(error, match=message):
        plain.logit(signature, **arguments)
