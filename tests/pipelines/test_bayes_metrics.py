"""pipelines/bayes_metrics.py where figures are undefined.

The figures themselves are compared with an oracle's in test_generated_days.py.
"""

from smelu_tf.pipelines import generate


def test_figures_of_a_single_row_are_none_where_undefined(tmp_path):
    report = generate(tmp_path, num_rows=2, num_days=2)
    assert [day.num_rows for day in report.days] == [1, 1]
    assert all(day.auc is day.normalized_entropy is None for day in report.days)
