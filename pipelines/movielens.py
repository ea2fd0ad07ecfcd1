"""MovieLens' three tables joined into one file, in the order of time."""

from __future__ import annotations

import dataclasses
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

    Examples:
        >>> _ = Path("users.dat").write_text("1::F::25::10::48067")
        >>> _ = Path("movies.dat").write_text("7::Heat (1995)::Action|Crime")
        >>> _ = Path("ratings.dat").write_text("1::7::5::978300760")
        >>> join_movielens(".", "movielens.tsv")
        1
        >>> Path("movielens.tsv").read_text().split()[-3:]
        ['Action|Crime', '978300760', '5']
    """
    tables = _tables(Path(folder))
    rows = sorted(_rows(tables), key=operator.itemgetter(0))  # equal times: as they are
    with (
        replacing(output) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write("\t".join(MOVIELENS.fields) + "\n")
        file.writelines(row + "\n" for _, row in rows)
    return len(rows)


@dataclasses.dataclass(frozen=True)
class _Tables:
    """What both data sets say, in one form.

    Attributes:
        users: age, gender and occupation by the user's id; MovieLens-1M's ages and
            occupations are codes.
        films: genres by the film's id.
        ratings: user, film, rating and time.
    """

    users: dict[str, tuple[str, str, str]]
    films: dict[str, str]
    ratings: Table


def _tables(folder: Path) -> _Tables:
    if (folder / "u.data").exists():
        return _Tables(
            users=_users(folder / "u.user", "|", age=1, gender=2),
            films=_films_100k(folder),
            ratings=_table(folder / "u.data", "\t", 4),
        )
    if (folder / "ratings.dat").exists():
        films = _table(folder / "movies.dat", "::", 3)
        return _Tables(
            users=_users(folder / "users.dat", "::", age=2, gender=1),
            films={film: _joined(genres.split("|")) for _, (film, _, genres) in films},
            ratings=_table(folder / "ratings.dat", "::", 4),
        )
    raise ValueError(
        f"{folder}: expected the folder of MovieLens-100K (u.data, u.user, u.item, "
        "u.genre) or -1M (ratings.dat, users.dat, movies.dat), received neither."
    )


def _rows(tables: _Tables) -> Iterator[tuple[int, str]]:
    """The time and the line of each rating."""
    for where, (user, film, rating, time) in tables.ratings:
        if rating not in ("1", "2", "3", "4", "5"):
            raise ValueError(
                f"{where}: expected a rating of 1 to 5, received {rating!r}."
            )
        for what, key, table in (
            ("user", user, tables.users),
            ("film", film, tables.films),
        ):
            if key not in table:
                raise ValueError(
                    f"{where}: expected a {what} of its table, received {key!r}."
                )
        if not time.isdecimal():
            raise ValueError(f"{where}: expected a time in seconds, received {time!r}.")
        row = (user, film, *tables.users[user], tables.films[film], time, rating)
        yield int(time), "\t".join(row)


def _users(
    path: Path, delimiter: str, age: int, gender: int
) -> dict[str, tuple[str, str, str]]:
    """Age, gender and occupation of the users; two fields by their places."""
    return {
        user[0]: (_age(where, user[age]), user[gender], user[3])
        for where, user in _table(path, delimiter, 5)
    }


def _films_100k(folder: Path) -> dict[str, str]:
    """The genres of the films, which have a flag for each."""
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
    return films


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
