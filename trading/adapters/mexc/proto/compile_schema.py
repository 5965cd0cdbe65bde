"""Compiles `mexc_push.proto` into `mexc_push_pb2.py` and its type stub. May import: the standard library, grpcio-tools.

Development only: grpcio-tools is not among the run dependencies, and the compiled files are checked in.
"""

import subprocess
import sys
from pathlib import Path

SCHEMA = Path(__file__).with_name("mexc_push.proto")
COMPILED = ("mexc_push_pb2.py", "mexc_push_pb2.pyi")


def compile_schema(target: Path) -> None:
    """Write the compiled module and stub of the schema into `target`, an existing directory.

    Raises subprocess.CalledProcessError when the compiler refuses the schema.
    """
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"--proto_path={SCHEMA.parent}",
        f"--python_out={target}",
        f"--pyi_out={target}",
        str(SCHEMA),
    ]
    subprocess.run(command, check=True, timeout=60)


if __name__ == "__main__":
    compile_schema(SCHEMA.parent)
