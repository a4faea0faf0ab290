"""Keys are read strictly, shown to nobody, and rotate while the service runs."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import orjson
import pytest

from authz.audit.chain import Payload, extend, is_sealed, sealed, split
from authz.audit.inspect import Inspection
from authz.audit.keys import FileKeys, Key, KeyRing, Mac, parse_keys
from authz.audit.payloads import note_payload
from authz.audit.trail import open_keys
from authz.audit.verify import verify_trail
from authz.settings.audit import AuditSettings
from authz.settings.types import InvalidSettings
from authz.store.sql import SqlDatastore
from authz.store.trail import Head
from tests.audit.support import START, Clock, completed, key, key_line, keys, records, ring, trailing

SECRET = bytes(range(32))


def test_a_code_is_hmac_sha256() -> None:
    """The quick code is the standard one."""
    import hashlib
    import hmac

    for size in (0, 1, 63, 64, 65, 5000):
        message = os.urandom(size)
        assert Mac(SECRET)(message) == hmac.new(SECRET, message, hashlib.sha256).digest()


def test_purposes_have_keys_of_their_own() -> None:
    """A code of a record can never stand in for the seal of a head, or for a hash of a value."""
    made = key()
    assert len({made.record(b"x"), made.seal(b"x"), made.redaction(b"x"), made.fingerprint}) == 4


@pytest.mark.parametrize(
    "text",
    [
        SECRET.hex(),
        SECRET.hex().upper(),
        base64.b64encode(SECRET).decode(),
        base64.urlsafe_b64encode(SECRET).decode().rstrip("="),
    ],
)
def test_forms_of_a_key(text: str) -> None:
    """Hex and base64 of either alphabet mean the same key."""
    found = parse_keys(f"# a comment\n\nk1: {text} \n".encode())
    assert found.active.fingerprint == Key("k1", SECRET).fingerprint


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"# nothing\n",
        b"k1\n",
        b"k1:\n",
        b"k1:0011\n",
        b"k1:" + base64.b64encode(bytes(31)) + b"\n",
        b"k 1:" + SECRET.hex().encode(),
        b":" + SECRET.hex().encode(),
        b"k1:!!!!not base64 at all but quite long enough to be one!!!!",
        "k1:ключ".encode(),
        (key_line("k1") + key_line("k1")).encode(),
    ],
)
def test_other_forms_are_refused_and_never_shown(raw: bytes) -> None:
    """A bad line names its number, and nothing of a key."""
    with pytest.raises(ValueError, match=r"key") as caught:
        parse_keys(raw)
    assert SECRET.hex() not in str(caught.value)
    assert "long enough" not in str(caught.value)


def test_keys_do_not_show_themselves() -> None:
    """Neither a key nor a ring tells more than ids."""
    shown = f"{Key('k1', SECRET)!r} {KeyRing([Key('k1', SECRET)])!r} {AuditSettings(key=SECRET.hex())!r}"
    assert SECRET.hex() not in shown
    assert repr(SECRET) not in shown


def test_a_key_file_is_read_again(tmp_path: Path) -> None:
    """A new key is active within a second; a file that is wrong for a moment changes nothing."""
    clock, path = Clock(), tmp_path / "keys"
    path.write_text(key_line("k1"))
    source = FileKeys(path, clock.monotonic)
    assert source.ring.active.id == "k1"
    path.write_text(key_line("k2") + key_line("k1"))
    clock.move(1.1)
    assert source.ring.active.id == "k2"
    for wrong in ("nonsense", f"k2:{SECRET.hex()}\n"):
        path.write_text(wrong)
        clock.move(1.1)
        assert source.ring.active.fingerprint == key("k2").fingerprint


def test_settings_name_the_keys(tmp_path: Path) -> None:
    """A file or the variable, not both; errors name the setting and show nothing."""
    path = tmp_path / "keys"
    path.write_text(key_line("k1"))
    clock = Clock()
    assert open_keys(AuditSettings(), clock.monotonic) is None
    from_file = open_keys(AuditSettings(key_file=path), clock.monotonic)
    from_text = open_keys(AuditSettings(key=key_line("k1")), clock.monotonic)
    assert from_file is not None
    assert from_text is not None
    assert from_file.ring.active.fingerprint == from_text.ring.active.fingerprint
    for settings in (
        AuditSettings(key_file=path, key=key_line("k1")),
        AuditSettings(key_file=tmp_path / "missing"),
        AuditSettings(key="short-secret"),
    ):
        with pytest.raises(InvalidSettings, match=r"audit\.key") as caught:
            open_keys(settings, clock.monotonic)
        assert "short-secret" not in str(caught.value)


def _chain(*rings: KeyRing) -> tuple[list[bytes], Head]:
    head, lines = None, []
    for number, each in enumerate(rings):
        segment, head = extend("service", head, [note_payload(f"n{number}", START)], each)
        lines += segment.body.splitlines()
    assert head is not None
    return lines, head


def _follow(lines: list[bytes], verifier: KeyRing) -> Inspection:
    inspection = Inspection("service", 0, bytes(32), verifier)
    for line in lines:
        if not inspection.take_line(line):
            break
    return inspection


def test_the_change_of_a_key_is_sealed_under_the_old_one() -> None:
    """So whoever has the new key alone cannot claim it, and whoever has the old key alone cannot go back."""
    lines, head = _chain(ring("k1"), ring("k2", "k1"))
    assert len(lines) == 3
    note = orjson.loads(lines[1])
    assert (note["note"], note["from"], note["to"], note["key"]) == ("key", "k1", "k2", "k1")
    assert head.key_id == "k2"
    inspection = _follow(lines, ring("k2", "k1"))
    assert (inspection.why, inspection.notices) == ("", [])
    assert inspection.sequence == 3


def test_nodes_that_rotate_one_after_the_other() -> None:
    """While both keys are known to both, a chain may change its key to and fro."""
    lines, _ = _chain(ring("k1", "k2"), ring("k2", "k1"), ring("k1", "k2"), ring("k2", "k1"))
    assert _follow(lines, ring("k2", "k1")).why == ""


def test_a_key_that_was_forgotten_too_early() -> None:
    """The chain goes on and verification says so; going back to an older key that way is refused."""
    lines, _ = _chain(ring("k1"), ring("k2"))
    inspection = _follow(lines, ring("k2", "k1"))
    assert inspection.why == ""
    assert "k1" in inspection.notices[0]
    assert "without a record" in _follow(lines, ring("k1", "k2")).why
    assert "not known" in _follow(lines, ring("k2")).why


def test_records_under_an_old_key_are_not_accepted_after_the_change() -> None:
    """A key that was replaced, and leaked, seals nothing any more behind the change."""
    lines, head = _chain(ring("k1"), ring("k2", "k1"))
    old = key("k1")
    forged, _ = extend("service", sealed(head._replace(key_id="k1"), old), [note_payload("forged", START)], ring("k1"))
    inspection = _follow([*lines, *forged.body.splitlines()], ring("k2", "k1"))
    assert inspection.sequence == 3
    assert "without a record of `k2`" in inspection.why
    # nor right behind the record that announces the new key
    first, noted = (split(line) for line in lines[:2])
    assert first is not None
    assert noted is not None
    at_note = sealed(Head("service", 2, noted.mac, 0, b"", "k1", b""), old)
    forged, _ = extend("service", at_note, [note_payload("forged", START)], ring("k1"))
    assert _follow([*lines[:2], *forged.body.splitlines()], ring("k2", "k1")).sequence == 2


def test_a_seal_covers_every_member() -> None:
    """No member of a head can be changed under its seal."""
    _, head = _chain(ring("k1"))
    assert is_sealed(head, key("k1"))
    changes = {"chain": "other", "sequence": 9, "mac": b"x", "base_sequence": 1, "base_mac": b"x", "key_id": "k2"}
    for name, value in changes.items():
        assert not is_sealed(head._replace(**{name: value}), key("k1"))  # type: ignore[arg-type]
    assert not is_sealed(head, key("k2"))


@pytest.mark.anyio
async def test_the_recorder_takes_a_new_key_with_the_next_record(sqlite_datastore: SqlDatastore) -> None:
    """Rotation loses no record and needs no restart."""
    source = keys("k1")
    async with trailing(sqlite_datastore, Clock(), source=source) as trail:
        trail.recorder.record(completed(1))
        await trail.recorder.durable()
        source.ring = ring("k2", "k1")
        trail.recorder.record(completed(2))
        await trail.recorder.durable()
        found = await records(sqlite_datastore, "node/")
    assert [(each["key"], each.get("note", each["kind"])) for each in found] == [
        ("k1", "start"),
        ("k1", "call"),
        ("k1", "key"),
        ("k2", "call"),
    ]
    assert (await verify_trail(sqlite_datastore, ring("k2", "k1"))).is_whole
    assert not (await verify_trail(sqlite_datastore, ring("k2"))).is_whole


def test_payloads_are_what_is_hashed() -> None:
    """The code is of the bytes that are stored: of the line up to its code, after the code before."""
    segment, head = extend("service", None, [Payload(b'"kind":"note","time":"x"', START)], ring())
    parts = split(segment.body[:-1])
    assert parts is not None
    assert parts.content == b'{"chain":"service","seq":1,"key":"k1","kind":"note","time":"x"'
    assert parts.mac == head.mac == key().record(bytes(32) + parts.content)
