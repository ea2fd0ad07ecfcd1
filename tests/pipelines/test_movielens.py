"""pipelines/movielens.py: the tables of both data sets, joined by hand."""

import pytest

from smelu_tf.pipelines import (
    MOVIELENS,
    complete_schema_from,
    join_movielens,
    read_rows,
)

GENRES = ("unknown", "Action", "Comedy")


@pytest.fixture
def small(tmp_path):
    """The tables of MovieLens-100K, of three genres."""
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    (folder / "u.genre").write_text(
        "".join(f"{name}|{i}\n" for i, name in enumerate(GENRES)) + "\n"
    )
    (folder / "u.user").write_text("1|24|M|technician|85711\n2|53|F|other|94043\n")
    (folder / "u.item").write_bytes(
        b"7|Caf\xe9 (1995)|01-Jan-1995||http://x|0|1|1\n8|unknown|||||1|0|0\n".replace(
            b"|||||", b"||||"
        )
    )
    (folder / "u.data").write_text("2\t7\t3\t900\n1\t8\t5\t100\n1\t7\t4\t900\n")
    return folder


@pytest.fixture
def large(tmp_path):
    """The tables of MovieLens-1M."""
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    (folder / "movies.dat").write_bytes(b"7::Caf\xe9 (1995)::Action|Comedy\n")
    (folder / "ratings.dat").write_text("2::7::3::900\n1::7::5::100\n")
    return folder


def test_the_small_one_is_joined_in_the_order_of_time(small, tmp_path):
    assert join_movielens(small, tmp_path / "out.tsv") == 3
    assert (tmp_path / "out.tsv").read_text().splitlines() == [
        "user_id\titem_id\tage\tgender\toccupation\tgenres\ttimestamp\trating",
        "1\t8\t24\tM\ttechnician\tunknown\t100\t5",
        "2\t7\t53\tF\tother\tAction|Comedy\t900\t3",
        "1\t7\t24\tM\ttechnician\tAction|Comedy\t900\t4",
    ]


def test_the_large_one_is_joined_and_read_by_its_preset(large, tmp_path):
    assert join_movielens(large, tmp_path / "out.tsv") == 2
    lines = (tmp_path / "out.tsv").read_text().splitlines()
    assert lines[1:] == [
        "1\t7\t1\tF\t10\tAction|Comedy\t100\t5",
        "2\t7\t56\tM\t16\tAction|Comedy\t900\t3",
    ]
    schema = complete_schema_from(tmp_path / "out.tsv", MOVIELENS)
    (batch,) = read_rows(tmp_path / "out.tsv", schema, 10)
    assert batch.label.numpy().tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("u.data", "3\t7\t3\t900\n", "u.data, line 1: expected a user .* received '3'"),
        ("u.data", "1\t9\t3\t900\n", "u.data, line 1: expected a film .* received '9'"),
        ("u.data", "1\t7\t3\t9.5\n", "line 1: expected a time in seconds"),
        (
            "u.data",
            "1\t7\t6\t900\n",
            "line 1: expected a rating of 1 to 5, received '6'",
        ),
        ("u.item", "7|a|||x|0|2|1\n", "u.item, line 1: expected 0 or 1 for each genre"),
        ("u.user", "1|x|M|other|0\n", "u.user, line 1: expected an age, received 'x'"),
        ("u.user", "1|24|M\n", "u.user, line 1: expected 5 fields .* received 3"),
        ("u.item", None, "u.item: expected a table of MovieLens, received none"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_left(
    small, tmp_path, name, content, message
):
    (small / name).unlink()
    if content is not None:
        (small / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        join_movielens(small, tmp_path / "out.tsv")
    assert [path.name for path in tmp_path.iterdir()] == ["ml-100k"]


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected the folder of MovieLens-100K"):
        join_movielens(tmp_path, tmp_path / "out.tsv")
