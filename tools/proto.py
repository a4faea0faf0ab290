"""Generate `authz/_proto` from `proto/`: messages, stubs and services. Run by `make proto` and by the test that diffs.

Nothing is vendored: the rules of buf.validate come as a descriptor out of the protovalidate wheel, google.api out of
googleapis-common-protos. The output is the same on every machine with the locked tools.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import google.api
import grpc_tools
from google.protobuf import (
    descriptor_pb2,
    duration_pb2,
    field_mask_pb2,
    timestamp_pb2,
)
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "proto"
TARGET = ROOT / "authz" / "_proto"
PACKAGES = ("openfga", "authz", "envoy", "buf")
PLUGINS = ("mypy", "mypy_grpc")
_RULES = "buf/validate/validate.proto"
_OWN_IMPORT = re.compile(rf"^(from|import) ({'|'.join(PACKAGES)})(\.| )", re.MULTILINE)
_BARE_IMPORT = re.compile(rf"^import ((?:{'|'.join(PACKAGES)})(?:\.\w+)*)\.(\w+) as (\w+)$", re.MULTILINE)
_HEADER = '"""Generated from `proto/` by `tools/proto.py`; never edited."""\n'


def rules_descriptor(target: Path) -> None:
    """Write buf/validate/validate.proto and what it imports as one descriptor set."""
    known = (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2)
    files = descriptor_pb2.FileDescriptorSet()
    for module in known:
        module.DESCRIPTOR.CopyToProto(files.file.add())
    files.file.add().ParseFromString(validate_pb.desc().proto.to_binary())
    target.write_bytes(files.SerializeToString(deterministic=True))


def run_protoc(scratch: Path, out: Path) -> None:
    """Run protoc over our files (messages, stubs, services) and over the rules (messages, stubs)."""
    deps = scratch / "deps.pb"
    rules_descriptor(deps)
    own = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.proto"))
    includes = [SOURCE, Path(google.api.__path__[0]).parents[1], Path(grpc_tools.__path__[0]) / "_proto"]
    base = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"--descriptor_set_in={deps}",
        *(f"-I{folder}" for folder in includes),
        *(f"--plugin=protoc-gen-{name}={Path(sys.executable).parent / f'protoc-gen-{name}'}" for name in PLUGINS),
        f"--python_out={out}",
        f"--mypy_out=quiet:{out}",
    ]
    services = [f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}"]
    subprocess.run([*base, _RULES], check=True)  # noqa: S603 - our own arguments
    subprocess.run([*base, *services, *own], check=True)  # noqa: S603 - our own arguments


def rewrite_imports(text: str) -> str:
    """Point imports of generated modules into `authz._proto`."""
    text = _BARE_IMPORT.sub(r"from authz._proto.\1 import \2 as \3", text)
    return _OWN_IMPORT.sub(r"\1 authz._proto.\2\3", text)


def generate(target: Path) -> None:
    """Replace `target` by freshly generated packages."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        out = scratch / "out"
        out.mkdir()
        run_protoc(scratch, out)
        for path in sorted([*out.rglob("*.py"), *out.rglob("*.pyi")]):
            text = path.read_text()
            if "_pb2_grpc." in path.name and "add_" not in text:
                path.unlink()  # a file without services
            else:
                path.write_text(rewrite_imports(text))
        for package in [out, *(path for path in sorted(out.rglob("*")) if path.is_dir())]:
            (package / "__init__.py").write_text(_HEADER)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(out, target)


def stale_files(target: Path) -> list[str]:
    """Generated files that differ from what the sources give, are missing, or should not be there."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "fresh"
        generate(fresh)
        expected, actual = _contents(fresh), _contents(target)
    return sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))


def _contents(root: Path) -> dict[str, bytes]:
    found = [path for suffix in ("py", "pyi") for path in root.rglob(f"*.{suffix}")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def main(arguments: list[str]) -> str | None:
    """Generate, or with `--check` only compare; returns what is wrong."""
    if arguments == ["--check"]:
        stale = stale_files(TARGET)
        return f"not what `proto/` gives, run `make proto`: {', '.join(stale)}" if stale else None
    if arguments:
        return "usage: proto.py [--check]"
    generate(TARGET)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
