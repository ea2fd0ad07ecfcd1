"""The configuration of what is minimised besides the log loss."""

# No `from __future__ import annotations` here: see config.py.
import dataclasses

from .model_config import WideDeepConfig
from .option_checks import check, check_integers, check_not_negative, check_texts


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """What is minimised besides the log loss of each tower.

    Attributes:
        codistillation: the strength with which each tower also learns what the others
            predict; 0: not at all.
        burn_in_steps: batches before it does.
        anti_distillation: the strength with which the towers' logits are kept from
            being correlated over a batch; 0: not at all.
        distillation: the strength with which the model also learns what its teachers
            predict; 0: not at all.
        teachers: model_dirs, or versions of exported SavedModels, of the same schema;
            what they predict is averaged.
        num_teachers: of a study: how many models of this configuration, without
            teachers and with other seeds, each replica trains first on the same rows,
            to be its own teachers. `train` takes `teachers`.

    Examples:
        >>> loss = LossConfig(codistillation=0.5)
        >>> loss.validate(WideDeepConfig(towers=2))
        >>> loss.validate(WideDeepConfig())
        Traceback (most recent call last):
        ValueError: loss.codistillation: expected 0 with model.towers=1, received 0.5.
    """

    codistillation: float = 0.0
    burn_in_steps: int = 0
    anti_distillation: float = 0.0
    distillation: float = 0.0
    teachers: tuple[str, ...] = ()
    num_teachers: int = 0

    def validate(self, model: WideDeepConfig) -> None:
        """Raises a ValueError that names the first field with an impossible value."""
        strengths = ("codistillation", "anti_distillation", "distillation")
        check_not_negative(self, "loss", *strengths)
        for name in ("codistillation", "anti_distillation"):
            good = getattr(self, name) == 0 or model.towers > 1
            check(good, f"loss.{name}", "0 with model.towers=1", getattr(self, name))
        check_integers(self, "loss", 0, "burn_in_steps", "num_teachers")
        check_texts(self, "loss", "teachers")
        good = not (self.teachers and self.num_teachers)
        check(good, "loss.num_teachers", "0 with loss.teachers", self.num_teachers)
        strength = self.distillation
        if self.teachers or self.num_teachers:
            expected = "a number above 0 with teachers"
            check(strength > 0, "loss.distillation", expected, strength)
        else:
            expected = f"one or more with loss.distillation={strength}"
            check(not strength, "loss.teachers", expected, self.teachers)
