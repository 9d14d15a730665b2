"""Write the gRPC stubs from `matching/engine.proto`: `python -m infra.engine_pb`."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
PROTO_DIR = HERE.parent.parent / "matching"
FILES = ("engine_pb2.py", "engine_pb2.pyi", "engine_pb2_grpc.py")


def generate(target: Path = HERE) -> None:
    """Write the stubs to `target`; needs grpcio-tools, a development dependency."""
    from grpc_tools import protoc

    code = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTO_DIR}",
            f"--python_out={target}",
            f"--pyi_out={target}",
            f"--grpc_python_out={target}",
            str(PROTO_DIR / "engine.proto"),
        ]
    )
    if code:
        raise RuntimeError(f"protoc ended with {code}")
    stub = target / "engine_pb2_grpc.py"
    text = stub.read_text()
    stub.write_text(
        text.replace("import engine_pb2 as", "from infra.engine_pb import engine_pb2 as")
    )


if __name__ == "__main__":
    generate()
    sys.exit(0)
