"""scripts/benchmark.py: its names, its two forms of output, and what it counts."""

import json

import pytest
from script_modules import script_module
from script_runs import run as run_script


def run(*arguments):
    return run_script("benchmark.py", *arguments, timeout=None)


@pytest.fixture(scope="module")
def report():
    code, out, err = run("activations", "--json", "--seconds=1", "--elements=100,1000")
    assert code == 0, err
    assert "settings" in err  # the progress line
    return json.loads(out)  # nothing else is on standard output


@pytest.mark.slow
def test_every_function_has_a_figure_in_every_setting(report):
    values = {result["name"]: result["value"] for result in report["results"]}
    functions = {name.split("/")[0] for name in values}
    assert {"relu", "smelu", "gsmelu", "rescu-normal", "gelu", "swish", "softplus"} <= (
        functions
    )
    assert {"keras-sparse_plus", "tf-smelu"} <= functions
    for function in functions:
        for mode in ("eager", "graph", "xla"):
            for dtype in ("float32", "bfloat16"):
                for size in (100, 1000):
                    assert values[f"{function}/{mode}/{dtype}/{size}"] > 0
    assert values["smelu/kept/float32"] == 4
    units = {result["name"]: result["unit"] for result in report["results"]}
    assert units["relu/eager/float32/100"] == "s"
    assert units["smelu/eager/float32/100"] == "relu"
    assert report["environment"]["cores"] >= 1
    assert report["environment"]["tensorflow"][0].isdigit()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_smelu_keeps_what_relu_keeps_and_gelu_more(dtype):
    activations = script_module("benchmarks.activations")
    kept = {
        name: activations.kept_bytes(function, dtype)
        for name, function in activations.activations().items()
    }
    output = {"float32": 4, "bfloat16": 2}[dtype]
    assert kept["relu"] == kept["smelu"] == output
    assert kept["gsmelu"] == kept["rescu-normal"] == 2 * output  # the input besides
    assert kept["gelu"] >= 2 * output


@pytest.mark.slow
def test_the_table_has_a_row_a_function():
    code, out, err = run("activations", "--seconds=1", "--elements=10")
    assert code == 0, err
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows if row].count("smelu") == 2  # of two dtypes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "serving, accuracy, received none."),
        (("speed",), "expected one of activations, input, training, profile"),
        pytest.param(
            ("accuracy",),
            "--train_data: expected files of rows, received none.",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("serving", "--preset=x"),
            "preset: expected one of criteo_small, ",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("serving", "--preset=movielens"),
            "expected one of Criteo's columns, rec",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("activations", "--elements=1,x"),
            "--elements: expected whole numbers above 0",
            marks=pytest.mark.slow,
        ),
        (("activations", "--seconds=0"), "--seconds"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


def figures(out):
    return {result["name"]: result["value"] for result in json.loads(out)["results"]}


@pytest.mark.slow
def test_the_profile_is_of_the_operations_of_a_step():
    code, out, err = run("profile", "--json", "--batches=2")
    assert code == 0, err
    values = figures(out)
    assert any("MatMul" in name for name in values)
    assert values["ResourceGather"] > 0
    assert not any("__inference" in name for name in values)


@pytest.mark.slow
def test_bfloat16_is_compared_with_float32_seed_by_seed():
    code, out, err = run("precision", "--json", "--precision_rows=9000", "--seeds=2")
    assert code == 0, err
    values = figures(out)
    differences = [
        values[f"bfloat16/seed_{seed}"] - values[f"float32/seed_{seed}"]
        for seed in range(2)
    ]
    assert values["bfloat16 - float32"] == pytest.approx(sum(differences) / 2)
    assert 0 < abs(values["bfloat16 - float32"]) < 0.01


@pytest.mark.slow
def test_models_side_by_side_are_timed_beside_the_same_one_by_one():
    code, out, err = run("replicas", "--json", "--replicas=2", "--rounds=1")
    assert code == 0, err
    values = figures(out)
    assert values["together"] > 0 and values["one_by_one"] > 0
    assert 0.2 < values["together/one_by_one"] < 5


@pytest.mark.slow
def test_deterministic_operations_are_timed_beside_the_others():
    code, out, err = run("determinism", "--json", "--rounds=1")
    assert code == 0, err
    values = figures(out)
    for size in (256, 4096):
        ways = [values[f"{size}/{way}"] for way in ("any_order", "deterministic")]
        assert min(ways) > 0
        assert values[f"{size}/deterministic/any_order"] == pytest.approx(
            ways[1] / ways[0], rel=0.01
        )


@pytest.mark.slow
def test_signatures_are_timed_beside_their_parts_and_deepctr():
    code, out, err = run("serving", "--json", "--rounds=1", "--serving_rows=10000")
    assert code == 0, err
    values = figures(out)
    for size in (1, 32, 512):
        for threads in (1, 2):
            name = f"signature/{size}/{threads}"
            p50, p99 = values[f"{name}/p50_ms"], values[f"{name}/p99_ms"]
            assert 0 < p50 <= p99
            assert values[f"{name}/rows_per_s"] == pytest.approx(1000 * size / p50)
    assert 0.05 < values["preprocessing_share"] < 1
    assert 0 < values["call_ms"] < values["signature/512/2/p99_ms"]
    for name in ("deepctr_predict", "model_call", "predict_lines", "predict_examples"):
        assert values[f"{name}_rows_per_s"] > 0


@pytest.mark.slow
def test_training_is_timed_beside_other_packages():
    code, out, err = run("training", "--json", "--batches=1", "--rounds=1")
    assert code == 0, err
    values = figures(out)
    models = {
        "deepctr_wdl",
        *(f"{name}_{d}" for name in ("relu", "smelu") for d in ("float32", "bfloat16")),
        "relu_float32_twin",
    }
    assert models <= values.keys()
    for name in models:
        assert values[name] > 0
        ratio = values.get(f"{name}/deepctr_wdl", 1)
        assert ratio == pytest.approx(values[name] / values["deepctr_wdl"], rel=0.01)
    for name in ("blocks", "text"):
        assert 0 < values[f"{name}/memory"]


@pytest.mark.slow
def test_models_are_compared_on_rows_that_none_has_seen(criteo_dir):
    data = f"--train_data={criteo_dir / 'day_0.tsv'}"
    test = f"--test_data={criteo_dir / 'day_1.tsv'}"
    options = ("--seeds=2", "--tuning_seeds=1")
    code, out, err = run("accuracy", "--json", data, test, *options)
    assert code == 0, err
    values = figures(out)
    for model in ("smelu-tf relu", "smelu-tf smelu:1", "deepctr WDL", "deepctr DCN"):
        assert 0.4 < values[f"{model}/log_loss"] < 0.8
        assert values[f"{model}/log_loss/sd"] > 0
    assert "smelu-tf relu - deepctr" in " ".join(values)
