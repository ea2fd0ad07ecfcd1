"""Rows as they come in the wild, and what they hold, written down by hand.

Of a line it is written what its fields hold and which ids they have; only logarithms
and hashes are computed.
"""

import dataclasses
import math
import zlib

import numpy as np
import tensorflow as tf

from smelu_tf.pipelines import Categorical, Cross, MultiValued, Numeric, Schema
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


def ref_features(rows):
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
