"""models/seeds.py: the seeds of an ensemble's towers."""

from smelu_tf.models.seeds import tower_seed


def test_the_first_tower_has_the_model_s_own():
    assert [tower_seed(seed, 0) for seed in (0, 7)] == [0, 7]


def test_ensembles_of_neighbouring_seeds_have_no_tower_in_common():
    seeds = {tower_seed(seed, tower) for seed in range(100) for tower in range(5)}
    assert len(seeds) == 500


def test_a_seed_is_one_of_32_bits_and_always_the_same():
    assert 0 <= tower_seed(1 << 40, 3) < 1 << 32
    assert tower_seed(3, 1) == tower_seed(3, 1)
