"""The presets on lines in the true formats of their data sets."""

import numpy as np
import pytest

from smelu_tf.pipelines import (
    ADULT,
    AVAZU,
    CRITEO,
    CRITEO_1TB,
    MOVIELENS,
    SCHEMAS,
    BadRows,
    Schema,
    complete_schema_from,
    named_schema,
    read_rows,
)


def read(path, schema, bad_rows=0):
    schema = complete_schema_from(path, schema, bad_rows)
    batches = read_rows(path, schema, 100, bad_rows=BadRows(bad_rows, quote=False))
    (batch,) = batches.as_numpy_iterator()
    return schema, batch


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_preset_is_found_by_name_and_survives_json(name):
    schema = named_schema(name)
    assert schema.name == name
    assert Schema.from_json(schema.to_json()) == schema


def test_criteo_s_two_data_sets_have_the_same_columns(tmp_path):
    assert CRITEO_1TB.fields == CRITEO.fields
    path = tmp_path / "day_0"
    path.write_text("\t".join(["1", *["2"] * 13, *["0a1b2c3d"] * 25, ""]) + "\n")
    schema, batch = read(path, CRITEO_1TB)
    assert schema is CRITEO_1TB
    assert batch.features["ids"][0, 25] == 0
    assert batch.features["ids"][0, :25].min() > 0
    assert schema.num_ids[:26] == (1 << 20,) * 26


def test_avazu(tmp_path):
    path = tmp_path / "train.csv"
    ids = "1fbe01fe,f3845767,28905ebd,ecad2386,7801e8d9,07d7df22,a99f214a"
    rest = "44956a24,1,2,15706,320,50,1722,0,35,-1,79"
    rows = [f"{i},{i % 2},1410210{i},1005,0,{ids},ddd2926e,{rest}" for i in range(4)]
    path.write_text("\n".join([",".join(AVAZU.fields), *rows]) + "\n")
    schema, batch = read(path, AVAZU)
    assert batch.label.tolist() == [0, 1, 0, 1]
    assert batch.features["ids"].shape == (4, 21)
    # Every value occurs four times, which is enough for the vocabulary.
    assert set(batch.features["ids"].ravel()) == {2}
    assert schema.time == "hour"


def test_movielens(tmp_path):
    path = tmp_path / "movielens.tsv"
    path.write_text(
        "\t".join(MOVIELENS.fields) + "\n"
        "1\t10\t24\tM\ttechnician\tAction|Comedy\t875071561\t4\n"
        "1\t11\t24\tM\ttechnician\tComedy\t875071562\t3\n"
        "2\t10\t53\tF\tother\t\t875071563\t5\n"
    )
    schema, batch = read(path, MOVIELENS)
    assert batch.label.tolist() == [1, 0, 1]
    assert schema.multivalued[0].vocabulary == ("Comedy", "Action")
    genres = batch.features["genres"]
    assert genres[:, :2].tolist() == [[3, 2], [2, -1], [0, -1]]
    assert np.all(genres[:, 2:] == -1)
    age = batch.features["numeric"][:, 0]
    assert age.mean() == pytest.approx(0, abs=1e-5)
    assert age.std() == pytest.approx(1, rel=1e-5)
    # The film that occurs once is unknown.
    assert batch.features["ids"][:, 1].tolist() == [2, 1, 2]


def test_adult_with_the_quirks_of_its_files(tmp_path):
    path = tmp_path / "adult.test"
    path.write_text(
        "|1x3 Cross validator\n"
        "25, Private, 226802, 11th, 7, Never-married, Machine-op-inspct, Own-child, "
        "Black, Male, 0, 0, 40, United-States, <=50K.\n"
        "38, ?, 89814, HS-grad, 9, Married-civ-spouse, ?, Husband, White, Male, 0, "
        "0, 50, United-States, >50K.\n"
        "\n"
    )
    schema, batch = read(path, ADULT, bad_rows=2)
    assert batch.label.tolist() == [0, 1]
    ids = dict(zip(schema.id_columns, batch.features["ids"].T, strict=True))
    assert ids["workclass"].tolist() == [2, 0]
    assert ids["occupation"].tolist() == [2, 0]
    assert ids["education_x_occupation"].min() > 0
    assert np.all(batch.features["numeric"][:, 1::2] == 0)
