import asyncio.sslproto
import ssl
import threading

from services.chassis.frame.runner import run


def test_a_loop_of_services_has_the_programs_own_tls() -> None:
    seen = []

    async def main() -> int:
        seen.append(asyncio.sslproto.ssl)  # type: ignore[attr-defined]
        return 7

    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run(main())))
    thread.start()
    thread.join(10)
    assert (codes, seen) == ([7], [ssl])
