"""MovieLens' three tables joined into one file, in the order of time."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .files import replacing
from .presets import MOVIELENS

Table = Iterator[tuple[str, list[str]]]
"""Where a row is (file and line), and its fields."""


def join_movielens(
    folder: str | os.PathLike[str], output: str | os.PathLike[str]
) -> int:
    """Joins ratings, users and films into a file of the preset `MOVIELENS`.

    One row a rating, the earliest first: user_id, item_id, age, gender, occupation,
    genres with | between them, timestamp, rating; tab separated, with a header.

    Args:
        folder: what MovieLens-100K's archive holds (u.data, u.user, u.item, u.genre) or
            MovieLens-1M's (ratings.dat, users.dat, movies.dat).
        output: the file to write.

    Returns:
        The number of rows.

    Raises:
        ValueError: a table is missing or has another form, or a rating is of a user or
            a film that is in no table; says where.
        OSError: a file cannot be read or written.

    Example:
        >>> join_movielens("ml-100k", "movielens.tsv")  # doctest: +SKIP
        100000
    """
    folder = Path(folder)
    if (folder / "u.data").exists():
        users, films, ratings = _tables_100k(folder)
    elif (folder / "ratings.dat").exists():
        users, films, ratings = _tables_1m(folder)
    else:
        raise ValueError(
            f"{folder}: expected the folder of MovieLens-100K (u.data, u.user, u.item, "
            "u.genre) or -1M (ratings.dat, users.dat, movies.dat), received neither."
        )
    rows = []
    for where, (user, film, rating, time) in ratings:
        if rating not in ("1", "2", "3", "4", "5"):
            raise ValueError(
                f"{where}: expected a rating of 1 to 5, received {rating!r}."
            )
        for what, key, table in (("user", user, users), ("film", film, films)):
            if key not in table:
                raise ValueError(
                    f"{where}: expected a {what} of its table, received {key!r}."
                )
        if not time.isdecimal():
            raise ValueError(f"{where}: expected a time in seconds, received {time!r}.")
        row = (user, film, *users[user], films[film], time, rating)
        rows.append((int(time), "\t".join(row)))
    rows.sort(key=operator.itemgetter(0))  # equal times stay in their order
    with (
        replacing(output) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write("\t".join(MOVIELENS.fields) + "\n")
        file.writelines(row + "\n" for _, row in rows)
    return len(rows)


def _tables_100k(
    folder: Path,
) -> tuple[dict[str, tuple[str, str, str]], dict[str, str], Table]:
    """Age, gender and occupation of the users, genres of the films, and the ratings."""
    users = {
        user: (_age(where, age), gender, occupation)
        for where, (user, age, gender, occupation, _) in _table(
            folder / "u.user", "|", 5
        )
    }
    genres = [name for _, (name, _) in _table(folder / "u.genre", "|", 2)]
    films = {}
    for where, (film, *rest) in _table(folder / "u.item", "|", 5 + len(genres)):
        flags = rest[4:]
        if not set(flags) <= {"0", "1"}:
            raise ValueError(
                f"{where}: expected 0 or 1 for each genre, received {'|'.join(flags)}."
            )
        films[film] = _joined(
            [name for name, flag in zip(genres, flags, strict=True) if flag == "1"]
        )
    return users, films, _table(folder / "u.data", "\t", 4)


def _tables_1m(
    folder: Path,
) -> tuple[dict[str, tuple[str, str, str]], dict[str, str], Table]:
    """As `_tables_100k`; ages and occupations are codes."""
    users = {
        user: (_age(where, age), gender, occupation)
        for where, (user, gender, age, occupation, _) in _table(
            folder / "users.dat", "::", 5
        )
    }
    films = {
        film: _joined(genres.split("|"))
        for _, (film, _, genres) in _table(folder / "movies.dat", "::", 3)
    }
    return users, films, _table(folder / "ratings.dat", "::", 4)


def _age(where: str, text: str) -> str:
    if not text.isdecimal():
        raise ValueError(f"{where}: expected an age, received {text!r}.")
    return text


def _joined(genres: Sequence[str]) -> str:
    return MOVIELENS.multivalued[0].separator.join(genres)


def _table(path: Path, delimiter: str, num_fields: int) -> Table:
    """The rows of a table; the films' names are in Latin-1."""
    if not path.is_file():
        raise ValueError(f"{path}: expected a table of MovieLens, received none.")
    with path.open(encoding="latin-1", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip("\r\n").split(delimiter)
            if fields == [""]:
                continue
            if len(fields) != num_fields:
                raise ValueError(
                    f"{path}, line {number}: expected {num_fields} fields with "
                    f"{delimiter!r} between them, received {len(fields)}."
                )
            yield f"{path}, line {number}", fields
