"""The pages over sample histories: `python -m tests.status.serve`, then open http://localhost:8090."""

from __future__ import annotations

import uvicorn

from gateway.status.pages import application
from gateway.status.settings import Settings
from tests.status.memory import MemoryReader
from tests.status.samples import CODES, NOW

PORT = 8090


def main() -> None:
    settings = Settings(
        public_address=f"http://localhost:{PORT}", qr_key=b"k" * 32, receipt_address="/ledger/{code}/{revision}"
    )
    for name, code in CODES.items():
        print(f"{name}: http://localhost:{PORT}/dossiers/{code}")
    uvicorn.run(application(MemoryReader(lambda: NOW), settings, lambda: NOW), port=PORT, log_level="warning")


if __name__ == "__main__":
    main()
