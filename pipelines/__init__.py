"""Raw logs to `tf.data` batches: schemas, the transform, readers, a generator."""

from .bad_rows import BadRowError, BadRows, bad_row_errors
from .block_format import Manifest, read_manifest
from .blocks import (
    BlockWriter,
    block_errors,
    is_blocks,
    read_blocks,
    verify_blocks,
    write_blocks,
)
from .completion import complete_schema, completion_difference
from .conversion import ConversionReport, convert
from .examples import read_examples
from .files import expand_files
from .generator import GeneratorReport, generate
from .parquet import read_parquet
from .presets import CRITEO, SCHEMAS, named_schema
from .schema import Categorical, Cross, Label, MultiValued, Numeric, Schema
from .sources import (
    complete_schema_from,
    estimate_num_rows,
    format_of,
    read_raw,
    read_rows,
    row_errors,
)
from .text import parse_unlabelled, read_raw_text, read_text
from .transform import Batch, Transform, raw_columns

__all__ = [
    "CRITEO",
    "SCHEMAS",
    "BadRowError",
    "BadRows",
    "Batch",
    "BlockWriter",
    "Categorical",
    "ConversionReport",
    "Cross",
    "GeneratorReport",
    "Label",
    "Manifest",
    "MultiValued",
    "Numeric",
    "Schema",
    "Transform",
    "bad_row_errors",
    "block_errors",
    "complete_schema",
    "complete_schema_from",
    "completion_difference",
    "convert",
    "estimate_num_rows",
    "expand_files",
    "format_of",
    "generate",
    "is_blocks",
    "named_schema",
    "parse_unlabelled",
    "raw_columns",
    "read_blocks",
    "read_examples",
    "read_manifest",
    "read_parquet",
    "read_raw",
    "read_raw_text",
    "read_rows",
    "read_text",
    "row_errors",
    "verify_blocks",
    "write_blocks",
]
