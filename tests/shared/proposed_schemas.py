"""What a proposed schema is for: reading the file that it was proposed for."""

from smelu_tf.pipelines import complete_schema_from, read_rows


def num_rows_read(path, schema):
    """The rows that the schema reads; the first that does not parse is an error."""
    complete = complete_schema_from(path, schema)
    return sum(len(batch.label) for batch in read_rows(path, complete, 64))
