"""PostgreSQL from its wheel as the one process of a container, reachable by TCP: `python -m tests.drill.postgresql`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from command.run.postgresql import binaries

FOLDER = Path("/tmp/postgresql")
# Nothing here has to outlive a power cut.
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "300"}


def main() -> None:
    password = FOLDER.with_name("password")
    password.write_text(os.environ["POSTGRESQL_PASSWORD"])
    made = ["--username=motcua", f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
    subprocess.run([binaries() / "initdb", *made, "--no-sync", f"--pgdata={FOLDER}"], check=True)
    with (FOLDER / "pg_hba.conf").open("a") as file:
        file.write("host all all all scram-sha-256\n")
    server = binaries() / "postgres"
    options = [part for name, value in QUICK.items() for part in ("-c", f"{name}={value}")]
    os.execv(server, [str(server), "-D", str(FOLDER), "-h", "*", "-k", "/tmp", *options])


if __name__ == "__main__":
    main()
