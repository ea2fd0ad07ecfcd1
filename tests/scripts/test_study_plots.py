"""scripts/figures/study_plots.py: what is drawn of a study."""

import pytest
from script_modules import script_module


@pytest.fixture(scope="module")
def study_plots():
    pytest.importorskip("matplotlib")
    return script_module("figures.study_plots")


def test_the_front_holds_what_nothing_betters(study_plots):
    front = study_plots.pareto_front
    points = [(3, 1), (1, 3), (2, 2), (2, 3), (3, 2), (1, 3), (4, 1)]
    assert front(points) == [(1, 3), (2, 2), (3, 1)]
    assert front([(1, 1)]) == [(1, 1)]
