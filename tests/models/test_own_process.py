"""models/own_process.py: what a function does in a process of its own."""

import os

import pytest

from smelu_tf.models.own_process import in_process


def _fail(*arguments):
    raise ArithmeticError("diverged there")


@pytest.mark.slow
def test_what_a_process_raises_comes_back_and_a_lost_one_is_named():
    with pytest.raises(ArithmeticError, match="diverged there"):
        in_process(1, _fail)
    with pytest.raises(ChildProcessError, match="received one that was lost"):
        in_process(1, os._exit, 3)
