"""The JavaScript SDK of OpenFGA (`javascript/scenario.js`), unchanged, against real servers."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from authz.access.authentication import new_key
from schema_dsl import dsl_to_json
from tests.sdk.clients import DOCUMENTS
from tests.support.http import url_of
from tests.support.postgres import do_without
from tests.support.server import running_server

if TYPE_CHECKING:
    from tests.support.server import RunningServer

SOURCE = Path(__file__).with_name("javascript")
INSTALL_SECONDS = 180.0
RUN_SECONDS = 60.0


@pytest.fixture(scope="module")
def scenario() -> Path:
    """The script beside its packages, which are installed once for each list of packages."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        do_without("no JavaScript: `node` and `npm` are not installed")
    digest = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"authz-javascript-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("package.json", "package-lock.json", "scenario.js"):
            shutil.copy(SOURCE / name, folder / name)
        if not (folder / "installed").exists():
            _install(npm, folder)
            (folder / "installed").touch()
    return folder / "scenario.js"


@pytest.mark.ops
def test_the_javascript_sdk(scenario: Path, server: RunningServer, tmp_path: Path) -> None:
    """
    Stores, models, tuples, queries, assertions, errors, credentials and rates, as the script demands them.
    """
    (tmp_path / "model.json").write_text(json.dumps(dsl_to_json(DOCUMENTS)))
    secret, line = new_key("root")
    (tmp_path / "keys").write_text(f"{line}\n")
    settings = {
        "access_keys_file": tmp_path / "keys",
        "access_admins": '["key/root"]',
        "limits_tiers": json.dumps({"standard": {"check": "4/second", "burst": 0.25}}),
    }
    with running_server(tmp_path, settings) as secured:
        command = ["node", scenario, url_of(server), tmp_path / "model.json", url_of(secured), secret]
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = [line.removesuffix(": held") for line in done.stdout.splitlines()]
    assert parts == ["store", "tuples", "queries", "assertions", "failures", "credentials", "rates"]


def _install(npm: str, folder: Path) -> None:
    command = [npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-timeout=30000"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        do_without(f"`npm ci` did not end within {INSTALL_SECONDS} s")
    if done.returncode:
        do_without(f"`npm ci` cannot install the SDK: {done.stderr.strip()[-400:]}")
