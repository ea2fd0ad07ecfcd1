"""All functions of the family, and oracles of theirs in float64.

The oracles share no formula with the code: gSmeLU's three polynomials, and ReLU
convolved with a density by quadrature.
"""

from typing import NamedTuple

import numpy as np
import pytest
from scipy import integrate, special

from smelu_tf import gsmelu, rescu, smelu
from smelu_tf.functional import DENSITIES


def ref_gsmelu(x, alpha, beta, g_minus, g_plus, t):
    """The lines and the parabola A x² + B x + C, by the published coefficients."""
    width = alpha + beta
    a = (g_plus - g_minus) / (2 * width)
    b = (alpha * g_plus + beta * g_minus) / width
    c = t + (alpha**2 * (g_plus + g_minus) + 2 * alpha * beta * g_minus) / (2 * width)
    s = t + g_minus * width / 2 + g_plus * (alpha - beta) / 2
    left, right = g_minus * x + t + g_minus * alpha, g_plus * x + s
    return np.where(
        x <= -alpha, left, np.where(x >= beta, right, a * x * x + b * x + c)
    )


_PDF = {
    "uniform": lambda u: (np.abs(u) <= 1) / 2,
    "triangular": lambda u: np.maximum(1 - np.abs(u), 0),
    "epanechnikov": lambda u: np.maximum(0.75 * (1 - u * u), 0),
    "normal": lambda u: np.exp(-u * u / 2) / np.sqrt(2 * np.pi),
    "logistic": lambda u: special.expit(u) * special.expit(-u),
    "squareplus": lambda u: 0.5 * (1 + u * u) ** -1.5,
    "laplace": lambda u: 0.5 * np.exp(-np.abs(u)),
}
_REACH = {"uniform": 1, "triangular": 1, "epanechnikov": 1}


def _ref_rescu(x, beta, density):
    """relu(x) + ∫ (U - |x|)₊ p(U) dU, one quadrature for each x."""
    scale = np.sqrt(beta) if density == "squareplus" else beta
    reach = _REACH.get(density, np.inf)

    def excess(a):
        if a >= reach:
            return 0.0
        pdf = _PDF[density]
        return integrate.quad(
            lambda u: (u - a) * pdf(u), a, reach, epsabs=1e-14, epsrel=1e-13
        )[0]

    x = np.asarray(x, np.float64)
    return np.maximum(x, 0) + scale * np.vectorize(excess)(np.abs(x) / scale)


class Case(NamedTuple):
    function: object
    reference: object
    parameters: tuple

    def __call__(self, x, *parameters):
        return self.function(x, *parameters)


CASES = {
    "smelu": Case(smelu, lambda x, b: ref_gsmelu(x, b, b, 0, 1, 0), (1.3,)),
    "gsmelu": Case(gsmelu, ref_gsmelu, (0.9, 1.4, 0.2, 0.8, -0.3)),
    "gsmelu down": Case(gsmelu, ref_gsmelu, (-0.5, 1.4, 1.5, -0.3, 2.0)),
    **{
        f"rescu {density}": Case(
            lambda x, b, density=density: rescu(x, b, density),
            lambda x, b, density=density: _ref_rescu(x, b, density),
            (1.3,),
        )
        for density in DENSITIES
    },
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())

# The tails, both sides of 0, and no point where a second derivative jumps; 0 itself is
# one for no density but the triangular and Laplace's, whose third derivative jumps.
X = np.concatenate([[-30, -4.5, -1.7], np.linspace(-0.87, 0.83, 18), [0, 1.9, 4.5, 30]])
