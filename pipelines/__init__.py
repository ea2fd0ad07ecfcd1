"""Raw logs to `tf.data` batches: schemas, the transform, readers, a generator."""

from .bad_rows import BadRowError, BadRows, bad_row_errors
from .batching import for_replicas, for_worker, sample_negatives, with_last_batch
from .beam import convert_with_beam
from .block_reader import read_blocks
from .block_verification import block_errors, verify_blocks
from .block_writer import BlockWriter, write_blocks
from .columns import Categorical, Cross, Label, MultiValued, Numeric
from .completion import complete_schema, completion_difference
from .conversion import ConversionReport, convert
from .examples import read_examples
from .files import expand_files
from .formats import (
    complete_schema_from,
    estimate_num_rows,
    format_of,
    read_raw,
    read_rows,
    row_errors,
)
from .generated_blocks import generate_blocks
from .generated_days import GeneratorReport, generate
from .in_memory import InMemoryRows
from .manifest import Manifest, is_blocks, read_manifest
from .movielens import join_movielens
from .order import Shuffle
from .parquet import read_parquet
from .presets import (
    ADULT,
    AVAZU,
    CRITEO,
    CRITEO_1TB,
    MOVIELENS,
    SCHEMAS,
    named_schema,
)
from .proposal import ColumnSummary, Proposal, propose_schema
from .raw_values import raw_columns
from .schema import Schema
from .sources import Blocks, Passes, RowFiles, open_rows
from .text import read_raw_text, read_text
from .transform import Batch, Transform
from .unlabelled import parse_unlabelled

__all__ = [
    "ADULT",
    "AVAZU",
    "CRITEO",
    "CRITEO_1TB",
    "MOVIELENS",
    "SCHEMAS",
    "BadRowError",
    "BadRows",
    "Batch",
    "BlockWriter",
    "Blocks",
    "Categorical",
    "ColumnSummary",
    "ConversionReport",
    "Cross",
    "GeneratorReport",
    "InMemoryRows",
    "Label",
    "Manifest",
    "MultiValued",
    "Numeric",
    "Passes",
    "Proposal",
    "RowFiles",
    "Schema",
    "Shuffle",
    "Transform",
    "bad_row_errors",
    "block_errors",
    "complete_schema",
    "complete_schema_from",
    "completion_difference",
    "convert",
    "convert_with_beam",
    "estimate_num_rows",
    "expand_files",
    "for_replicas",
    "for_worker",
    "format_of",
    "generate",
    "generate_blocks",
    "is_blocks",
    "join_movielens",
    "named_schema",
    "open_rows",
    "parse_unlabelled",
    "propose_schema",
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
    "sample_negatives",
    "verify_blocks",
    "with_last_batch",
    "write_blocks",
]
