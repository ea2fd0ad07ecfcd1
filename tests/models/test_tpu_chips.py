"""models/tpu_chips.py: chips by the names that machines have for them."""

import pytest

from smelu_tf.models.tpu_chips import CHIPS, attached_chip


@pytest.mark.parametrize(
    ("name", "chip"),
    [
        ("v5litepod-16", "v5e"),
        ("v4-8", "v4"),
        ("v5p-128", "v5p"),
        ("v6e-8", "v6e"),
        ("v99-8", None),
        ("", None),
    ],
)
def test_the_machine_names_its_chips(monkeypatch, name, chip):
    monkeypatch.setenv("TPU_ACCELERATOR_TYPE", name)
    assert attached_chip() == (chip and CHIPS[chip])


def test_elsewhere_there_are_none(monkeypatch):
    monkeypatch.delenv("TPU_ACCELERATOR_TYPE", raising=False)
    assert attached_chip() is None
