"""Raw logs to `tf.data` batches: schemas, the transform, readers, a generator."""

from .block_format import Manifest, read_manifest
from .blocks import (
    BlockWriter,
    block_errors,
    is_blocks,
    read_blocks,
    verify_blocks,
    write_blocks,
)
from .conversion import ConversionReport, convert
from .files import expand_files
from .generator import GeneratorReport, generate
from .presets import CRITEO, SCHEMAS, named_schema
from .schema import Categorical, Label, Numeric, Schema
from .text import (
    BadRowError,
    BadRows,
    bad_row_errors,
    estimate_num_rows,
    parse_unlabelled,
    read_raw_text,
    read_text,
)
from .transform import Batch, Transform, raw_columns
from .vocabulary import (
    count_text_vocabularies,
    count_vocabularies,
    is_counted_from,
)

__all__ = [
    "CRITEO",
    "SCHEMAS",
    "BadRowError",
    "BadRows",
    "Batch",
    "BlockWriter",
    "Categorical",
    "ConversionReport",
    "GeneratorReport",
    "Label",
    "Manifest",
    "Numeric",
    "Schema",
    "Transform",
    "bad_row_errors",
    "block_errors",
    "convert",
    "count_text_vocabularies",
    "count_vocabularies",
    "estimate_num_rows",
    "expand_files",
    "generate",
    "is_blocks",
    "is_counted_from",
    "named_schema",
    "parse_unlabelled",
    "raw_columns",
    "read_blocks",
    "read_manifest",
    "read_raw_text",
    "read_text",
    "verify_blocks",
    "write_blocks",
]
