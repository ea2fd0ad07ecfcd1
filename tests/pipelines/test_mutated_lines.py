"""The text reader on lines that something has spoilt: as plain Python reads them.

Each mutated line is either read as a reference parser reads it, or refused and counted;
never a crash, a hang, or a column in another's place.
"""

import math
import random
import re

import numpy as np
import pytest

from smelu_tf.pipelines import (
    CRITEO,
    BadRows,
    Categorical,
    Label,
    Numeric,
    Schema,
    read_raw_text,
)

SHOP = Schema(
    "shop",
    (Numeric("age"), Numeric("price", "float64", "none")),
    (Categorical("name", buckets=9), Categorical("code", 9, pattern="[a-z]{2,4}")),
    Label("rating", at_least=3),
    weight="w",
    fields=("name", "age", "rating", "x", "price", "code", "w"),
    delimiter=",",
    quoted=True,
    missing="NA",
)
SHOP_LINES = (
    '"a, ""b""",31,4.5,"x",1e-3,"abcd",0.5',
    "plain name,NA,-3,,NA,,1",
    '"",-7,"2","",".5",ab,"2.25"',
)
CRITEO_LINES = (
    "\t".join(["1", *"0123456789", "-2", "", "99", *["0a1b2c3d"] * 25, ""]),
    "\t".join(["0", *[""] * 39]),
)


def mutated(lines, alphabet, number, seed):
    """Lines with one to three places replaced, doubled, or left out."""
    generator = random.Random(seed)
    result = []
    for _ in range(number):
        line = list(generator.choice(lines))
        for _ in range(generator.randint(1, 3)):
            place = generator.randrange(len(line) + 1)
            line[place : place + generator.randint(0, 2)] = generator.choice(alphabet)
        result.append("".join(line))
    return result


def _ref_criteo(line):
    """The fields of a line of Criteo's; None where it is none."""
    fields = line.split("\t")
    if len(fields) != 40 or fields[0] not in ("0", "1"):
        return None
    if not all(not text or _is_integer(text) for text in fields[1:14]):
        return None
    if not all(not t or re.fullmatch("[0-9a-f]{8}", t) for t in fields[14:]):
        return None
    return dict(zip(CRITEO.fields, fields, strict=True))


def _ref_shop(line):
    """The fields of a line of the shop's; None where it is none."""
    fields = _ref_split(line)
    if fields is None or len(fields) != len(SHOP.fields):
        return None
    row = dict(zip(SHOP.fields, fields, strict=True))
    for name in CAN_MISS:
        row[name] = "" if row[name] == "NA" else row[name]
    good = (
        (not row["age"] or _is_integer(row["age"]))
        and (not row["price"] or _is_number(row["price"]))
        and _is_number(row["rating"])
        and (_is_number(row["w"]) and not row["w"].startswith("-"))
        and (not row["code"] or re.fullmatch("[a-z]{2,4}", row["code"]))
    )
    return row if good else None


CAN_MISS = ("name", "age", "price", "code")


def _ref_split(line):
    """Fields of a CSV line by RFC 4180, character by character; None if it is none."""
    fields, place = [], 0
    while True:
        text = ""
        if line[place : place + 1] == '"':
            place += 1
            while True:
                if place >= len(line):
                    return None  # the quote is never closed
                if line[place : place + 2] == '""':
                    text += '"'
                    place += 2
                elif line[place] == '"':
                    place += 1
                    break
                else:
                    text += line[place]
                    place += 1
        else:
            while place < len(line) and line[place] not in ',"':
                text += line[place]
                place += 1
        fields.append(text)
        if place == len(line):
            return fields
        if line[place] != ",":
            return None  # a quote inside a field, or something behind one
        place += 1


def _is_integer(text):
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 18


def _is_number(text):
    found = re.fullmatch(r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,2})?", text, re.ASCII)
    return bool(found) and len(text) < 40


@pytest.mark.parametrize(
    "number",
    [4000, pytest.param(100_000, marks=pytest.mark.slow)],
    ids=["some", "many"],
)
@pytest.mark.parametrize("kind", ["criteo", "shop"])
def test_mutated_lines_are_read_as_plain_python_reads_them_or_refused(
    kind, number, tmp_path
):
    if kind == "criteo":
        schema, reference, lines = CRITEO, _ref_criteo, CRITEO_LINES
        alphabet = "\t\t01239abcdef-.exX \r,\"'é\x00"
    else:
        schema, reference, lines = SHOP, _ref_shop, SHOP_LINES
        alphabet = ',,""019ab-.eE \t\rNAé\x00'
    spoilt = mutated(lines, alphabet, number, seed=number)
    path = tmp_path / "rows"
    path.write_bytes("\n".join(spoilt).encode())
    bad_rows = BadRows(max_bad_rows=number, quote=False)
    chunks = read_raw_text(path, schema, bad_rows=bad_rows).as_numpy_iterator()
    chunks = list(chunks)
    raw = {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}
    # Carriage returns are dropped, wherever they stand.
    expected = [reference(line.replace("\r", "")) for line in spoilt]
    kept = [row for row in expected if row is not None]
    assert number / 40 < len(kept) < number * 0.95
    assert bad_rows.count == number - len(kept)
    for name, values in raw.items():
        texts = [row[name] for row in kept]
        if values.dtype == object:
            assert values.tolist() == [text.encode() for text in texts]
        else:
            numbers = [float(text) if text else math.nan for text in texts]
            np.testing.assert_array_equal(values, numbers, err_msg=name)
