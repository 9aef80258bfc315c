from __future__ import annotations

from hypothesis import strategies as st


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """One byte or line changed, dropped, doubled, or text put in: never what it was."""
    at = draw(st.integers(0, len(original) - 1))
    lines = original.split(b"\n")
    line = draw(st.integers(0, len(lines) - 1))
    match draw(
        st.sampled_from(
            ["flip", "set", "drop", "double", "insert", "cut", "line dropped", "line doubled", "line swapped"]
        )
    ):
        case "flip":
            found = original[:at] + bytes([original[at] ^ 1 << draw(st.integers(0, 7))]) + original[at + 1 :]
        case "set":
            found = (
                original[:at]
                + draw(st.sampled_from([b" ", b"\n", b"=", b"+", b"0", b"\r", b"\x00", b"A"]))
                + original[at + 1 :]
            )
        case "drop":
            found = original[:at] + original[at + 1 :]
        case "double":
            found = original[: at + 1] + original[at:]
        case "insert":
            found = original[:at] + draw(st.sampled_from([b" ", b"\n", b"=", b"\r\n", b"\xff", b"0"])) + original[at:]
        case "cut":
            found = original[:at]
        case "line dropped":
            found = b"\n".join(lines[:line] + lines[line + 1 :])
        case "line doubled":
            found = b"\n".join(lines[: line + 1] + lines[line:])
        case _:
            found = b"\n".join(lines[line:] + lines[:line])
    return found if found != original else original + b"\n"
