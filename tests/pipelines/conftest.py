"""Generated rows that the tests of the generator's parts share."""

import pytest
from criteo_rows import NUM_ROWS

from smelu_tf.pipelines.generated_rows import GeneratedRows
from smelu_tf.pipelines.generator import generate_rows


@pytest.fixture(scope="session")
def rows() -> GeneratedRows:
    """As many rows as `generate` writes by default."""
    return generate_rows(0, NUM_ROWS)
