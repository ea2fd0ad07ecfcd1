"""pipelines/manifest.py: what the file says, and files that are not as it says."""

import hashlib
import json

import pytest
from written_blocks import SCHEMA, copy_of, write_weighted

from smelu_tf.pipelines import Schema, read_blocks, read_manifest, verify_blocks


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    return write_weighted(tmp_path_factory.mktemp("weighted"))


def test_the_manifest_is_what_the_file_says(weighted):
    _, folder = weighted
    manifest = read_manifest(folder)
    data = (folder / "manifest.json").read_bytes()
    values = json.loads(data)
    assert Schema.from_dict(values["schema"]) == SCHEMA == manifest.schema
    assert values["fingerprint"] == SCHEMA.fingerprint()
    body = data[: data.rindex(b'\n "checksum"')]
    assert values["checksum"] == hashlib.sha256(body).hexdigest()
    for shard in values["shards"]:
        content = (folder / shard["name"]).read_bytes()
        assert shard["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest.to_json() == data


def test_another_version_is_refused(weighted, tmp_path):
    folder = copy_of(weighted[1], tmp_path / "blocks")
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2', 1))
    with pytest.raises(ValueError, match="expected blocks of version 1, received 2"):
        read_blocks(folder)


@pytest.mark.parametrize("read", [read_blocks, verify_blocks])
def test_files_that_are_not_there_or_not_whole_are_named(weighted, tmp_path, read):
    folder = copy_of(weighted[1], tmp_path / "blocks")
    path = folder / "shard-00003.blocks"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    size = len(content)
    expected = rf"00003\.blocks: expected a shard of {size} bytes, received {size - 1}"
    with pytest.raises(ValueError, match=expected):
        read(folder)
    path.unlink()
    with pytest.raises(ValueError, match=r"00003\.blocks: .* bytes, received none"):
        read(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"manifest\.json: expected .* received none"):
        read(folder)
