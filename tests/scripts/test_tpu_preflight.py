"""scripts/tpu_preflight.py, as a user calls it."""

import json

import pytest
from script_runs import run, without_logs

pytest.importorskip("jax", reason="jax is not installed")
pytest.importorskip("libtpu", reason="libtpu is there for Linux on x86-64 alone")

SMALL = (
    "--topology=v4:2x2x1",
    "--num_ids=2000",
    "--config.model.tables=tpu",
    "--config.model.tpu_table_ids=1000",
    "--config.model.hidden_units=(32,16)",
    "--config.model.embedding_dim=8",
)


def preflight(*arguments, **environment):
    code, out, err = run("tpu_preflight.py", *arguments, **environment)
    return code, out, without_logs(err)


def test_a_step_compiles_and_is_reported():
    code, out, err = preflight(*SMALL, "--batch_size=128", "--json")
    assert (code, err) == (0, "")
    figures = json.loads(out)
    assert figures["topology"] == "v4:2x2x1" and figures["num_chips"] == 4
    assert figures["batch_size"] == 128 and figures["activation"] == "smelu:1"
    assert figures["num_all_reduces"] > 0
    # 26 columns, each with a weight and an embedding; Adam's and FTRL's slots.
    assert figures["table_bytes"] == 4 * 26 * 500 * 3 * (8 + 8)
    assert figures["hbm_bytes"] == 32 << 30
    scopes = {s for each in figures["activation_fusions"] for s in each["scopes"]}
    assert {"activation_0", "activation_1", "activation_0_gradient"} <= scopes


@pytest.mark.slow
def test_activations_are_compared():
    arguments = ("--topology=v4:2x2x1", "--num_chips=1", "--batch_size=128")
    code, out, err = preflight(*SMALL, *arguments, "--activation_report")
    assert (code, err) == (0, "")
    assert out.startswith("compiles for      1 chips of v4:2x2x1\n")
    table = out.splitlines()[-5:]
    assert table[0].split()[:2] == ["bytes", "accessed"]
    assert [row.split()[0] for row in table[1:]] == ["relu", "smelu:1", "swish", "gelu"]


@pytest.mark.slow
def test_a_run_gives_config_and_schema(tmp_path):
    code, _, err = run("generate.py", "--num_rows=2100", cwd=tmp_path)
    assert code == 0, err
    train = ("--data=demo/data/day_0.tsv", "--config.model.hidden_units=(8,)")
    code, _, err = run("train.py", *train, cwd=tmp_path)
    assert code == 0, err
    code, out, err = preflight("--model_dir=demo/model", "--json", cwd=tmp_path)
    assert (code, err) == (0, "")
    figures = json.loads(out)
    assert figures["batch_size"] == 64 and figures["table_bytes"] == 0


@pytest.mark.slow
def test_what_does_not_fit_ends_with_one():
    code, out, err = preflight(*SMALL, "--batch_size=33554432")
    assert (code, out) == (1, "")
    assert err.startswith("tpu_preflight.py: v4:2x2x1: ") and err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--topology=h100:2x2",), "topology: expected a name such as v5e:2x2"),
        (("--num_chips=8",), "num_chips: expected 1 to 4, as v5e:2x2 has"),
        (("--num_chips=3",), "data.batch_size: expected a multiple of 3"),
        (("--schema=none.json",), "none.json"),
        (("--model_dir=none",), "none"),
        (("--num_ids=1",), "--num_ids"),
        (("--config.model.activation=tanhh",), "tanhh"),
        (("--num_ids=50000000",), "tables: expected at most"),
        (("--config.model.tables=tpu",), "model.tables: expected stacked on a TPU"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message):
    code, out, err = preflight(*arguments)
    assert (code, out) == (2, "")
    assert message in err and err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("package", ["jax", "libtpu"])
def test_a_missing_package_names_the_command(tmp_path, package):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
    )
    code, out, err = preflight(PYTHONPATH=str(tmp_path))
    assert (code, out) == (2, "")
    assert "pip install 'smelu-tf[tpu-preflight]'" in err and err.count("\n") == 1
