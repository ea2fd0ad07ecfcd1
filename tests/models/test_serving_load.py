"""Many requests of mixed size from several threads at one loaded model."""

import concurrent.futures
import ctypes
import gc
import os
import random
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from smelu_tf.models import Scorer, WideDeep, WideDeepConfig, export_saved_model
from smelu_tf.models.metrics import probability
from smelu_tf.pipelines import CRITEO, open_rows, read_raw_text

THREADS = 4
MAX_ROWS = 700  # of a request
WARM_UP = 400  # requests, in which buffers and the allocator's pools get their sizes
# Memory may grow by this after the warm-up, whatever the number of requests: oneDNN
# keeps what it prepares for a shape, in each thread, until it has 1,024 of them. One
# request that is not let go of takes 0.3 MB.
MAX_GROWTH = 64 << 20
MANY = int(os.environ.get("SMELU_TF_REQUESTS", 100_000))
SIGNATURES = ("serving_default", "predict_logits", "predict_lines")


class Server:
    """A loaded model, rows to ask it about, and what the answers should be."""

    def __init__(self, model, version, data):
        self.loaded = tf.saved_model.load(str(version))
        raw = next(read_raw_text(data, model.schema).as_numpy_iterator())
        self._raw = {column.name: raw[column.name] for column in model.schema.columns}
        lines = Path(data).read_bytes().splitlines()
        self._lines = np.array([line.partition(b"\t")[2] for line in lines], object)
        scorer = Scorer.of(model)
        logit = scorer.logit(scorer.transform(self._raw))
        self._expected = {"logit": logit, "probability": probability(logit)}
        self._expected = {name: v.numpy() for name, v in self._expected.items()}

    def ask(self, chance):
        """Checks every value of the answer to a random request."""
        name = chance.choice(SIGNATURES)
        size = chance.randint(1, MAX_ROWS)
        first = chance.randrange(len(self._lines) - size)
        rows = slice(first, first + size)
        if name == "predict_lines":
            request = {"lines": tf.constant(self._lines[rows])}
        else:
            request = {n: tf.constant(v[rows]) for n, v in self._raw.items()}
        answer = self.loaded.signatures[name](**request)
        assert set(answer) == {"logit"} | (
            {"probability"} if name != "predict_logits" else set()
        )
        for value, scores in answer.items():
            # Products round otherwise in batches of other sizes.
            np.testing.assert_allclose(
                scores, self._expected[value][rows], rtol=1e-5, atol=1e-6
            )

    def answer(self, num_requests, seed):
        """Answers requests in several threads; raises the first error of any."""

        def client(number):
            chance = random.Random(f"{seed}/{number}")
            for _ in range(num_requests // THREADS):
                self.ask(chance)

        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(client, number) for number in range(THREADS)]:
                done.result()


@pytest.fixture(scope="module")
def server(criteo_dir, tmp_path_factory):
    schema = open_rows(criteo_dir / "day_0.tsv").complete(CRITEO)
    config = WideDeepConfig(hidden_units=(32, 16), embedding_stddev=0.1)
    model = WideDeep(schema, config)
    version = export_saved_model(model, tmp_path_factory.mktemp("export"))
    return Server(model, version, criteo_dir / "day_6.tsv")


def resident_bytes():
    """The memory in use: the allocator first gives back what it keeps for later."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    "num_requests",
    [
        200,
        pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(0)]),
    ],
)
def test_requests_are_answered_without_growth_or_retracing(server, num_requests):
    server.answer(WARM_UP, "warm-up")
    functions = set(context.context().list_function_names())
    memory = resident_bytes()
    server.answer(num_requests, "load")
    assert resident_bytes() - memory < MAX_GROWTH
    # None has come; the collector may have taken some of other tests'.
    assert set(context.context().list_function_names()) <= functions


def test_nothing_in_a_signature_would_be_compiled(server):
    for signature in server.loaded.signatures.values():
        library = signature.graph.as_graph_def().library
        assert library.function  # the scoring is in there
        for function in library.function:
            assert "_XlaMustCompile" not in function.attr


def test_an_error_of_one_client_is_no_other_one_s(server):
    def wrong():
        with pytest.raises(tf.errors.InvalidArgumentError, match="row 1 of the batch"):
            server.loaded.signatures["predict_lines"](
                lines=tf.constant([b"\t" * 38, b"\t"])
            )

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        chances = [random.Random(i) for i in range(50)]
        tasks = [pool.submit(server.ask, chance) for chance in chances]
        tasks += [pool.submit(wrong) for _ in chances]
        for task in tasks:
            task.result()
