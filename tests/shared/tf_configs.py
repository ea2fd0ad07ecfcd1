"""Clusters that TF_CONFIG describes."""

import json

WORKERS = {"worker": ["a:1", "b:1"]}
LED = {"chief": ["a:1"], "worker": ["b:1"]}
SERVERS = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}


def configure(monkeypatch, cluster, job="worker", index=0):
    """Makes this process a task of a cluster."""
    value = {"cluster": cluster, "task": {"type": job, "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(value))
