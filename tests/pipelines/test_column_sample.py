"""pipelines/column_sample.py: many values in bounded memory."""

from proposed_schemas import num_rows_read

from smelu_tf.pipelines import propose_schema


def test_what_comes_after_many_values_counts_too(tmp_path, monkeypatch):
    monkeypatch.setattr("smelu_tf.pipelines.column_sample._MAX_DISTINCT", 100)
    path = tmp_path / "a.csv"
    rows = [f"{i % 2},{i}.5,{i * 7 % 401},n{i}" for i in range(400)]
    path.write_text("\n".join(["label,a,b,c", *rows, "1,NA,x,n"]) + "\n")
    proposal = propose_schema(path)
    kinds = {column.name: column.kind for column in proposal.columns}
    assert kinds == {"label": "label", "a": "numeric", "b": "skipped", "c": "skipped"}
    assert proposal.schema.missing == "NA"
    assert proposal.columns[1].num_distinct == 100 and proposal.columns[1].has_more
    assert num_rows_read(path, proposal.schema) == 401
