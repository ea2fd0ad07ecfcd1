"""What the scripts make once for all tests of them."""

import shutil
import subprocess
import sys

import pytest
from distributed_runs import command
from made_once import made_once
from script_runs import TINY, run

from smelu_tf.models import load_metrics


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with demo/data, demo/model and demo/export, which stays as it is."""

    def make(folder):
        for name, *arguments in (
            ("generate.py", "--num_rows=14000"),
            ("train.py", *TINY),
            ("export.py",),
        ):
            code, _, err = run(name, *arguments, cwd=folder)
            assert code == 0, err

    return made_once(tmp_path_factory, "trained", make)


@pytest.fixture(scope="module")
def work(trained, tmp_path_factory):
    """A copy of that folder, in which the tests of a module may write."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("work") / "work")


@pytest.fixture(scope="session")
def data(criteo_dir):
    """The files that trainings in one or several processes read."""
    return criteo_dir / "day_[0-5].tsv"


@pytest.fixture(scope="session")
def long_data(data):
    """The same rows again and again: a training that lasts."""
    return ",".join([str(data)] * 6)


@pytest.fixture(scope="session")
def one_device(data, tmp_path_factory):
    """The model_dir of a training on one device, which others are to follow."""
    model_dir = tmp_path_factory.mktemp("one_device") / "model"
    subprocess.run([sys.executable, *command(data, model_dir)], check=True, timeout=120)
    assert load_metrics(model_dir)["progressive"]["num_examples"] == 18_000
    return model_dir
