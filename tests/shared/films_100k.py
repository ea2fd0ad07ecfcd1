"""Invented ratings in the files, and of the size, of MovieLens-100K."""

from pathlib import Path

import numpy as np

GENRES = ("unknown", "Action", "Comedy", "Drama")


def write(folder: Path, num_ratings: int = 100_000) -> None:
    """Writes `u.genre`, `u.user`, `u.item` and `u.data`."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(5)
    num_users, num_films = 900, 1_600
    genres = "".join(f"{name}|{number}\n" for number, name in enumerate(GENRES))
    (folder / "u.genre").write_text(genres)
    with (folder / "u.user").open("w") as file:
        for user in range(1, num_users + 1):
            age, gender = random.integers(15, 70), random.choice(["M", "F"])
            file.write(f"{user}|{age}|{gender}|other|00000\n")
    with (folder / "u.item").open("w") as file:
        for film in range(1, num_films + 1):
            flags = "|".join(map(str, random.integers(0, 2, len(GENRES))))
            file.write(f"{film}|Film {film}|01-Jan-1995||http://x|{flags}\n")
    user = random.integers(1, num_users + 1, num_ratings)
    film = 1 + (random.pareto(1.0, num_ratings) * 20).astype("i8") % num_films
    rating = random.integers(1, 6, num_ratings)
    with (folder / "u.data").open("w") as file:
        for row in zip(user, film, rating, range(num_ratings), strict=True):
            file.write("\t".join(map(str, row)) + "\n")
