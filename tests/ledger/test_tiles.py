from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.format import tiles
from gateway.ledger.format.errors import FormatError, LedgerError
from gateway.ledger.format.tiles import MAX_LEVEL, TileName, format_bundle, new_tiles, parse_bundle
from tests.ledger.mutations import mutated
from tests.ledger.tree import Tree

NAMES = st.builds(TileName, st.none() | st.integers(0, MAX_LEVEL), st.integers(0, 2**55 - 1), st.integers(1, 256))


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 1234067, 256, "tile/0/x001/x234/067"),  # the specification's example
        (0, 273, 112, "tile/0/273.p/112"),  # its tree of 70,000
        (1, 1, 17, "tile/1/001.p/17"),
        (2, 0, 1, "tile/2/000.p/1"),
        (63, 1000, 256, "tile/63/x001/000"),
        (None, 0, 255, "tile/entries/000.p/255"),
        (None, 999, 256, "tile/entries/999"),
        (None, 1_000_000, 256, "tile/entries/x001/x000/000"),
    ],
)
def test_paths(level: int | None, index: int, width: int, path: str) -> None:
    named = tiles.entries_path(index, width) if level is None else tiles.tile_path(level, index, width)
    assert named == path
    assert TileName.parse(path) == TileName(level, index, width)


@given(NAMES)
def test_every_path_is_read_back(name: TileName) -> None:
    assert TileName.parse(name.path) == name


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "/tile/0/000",
        "tile/0/000/",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/000",
        "tile/0/x0001/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p",
        "tile/0/000.p/5/",
        "tile/entries/000.p/-1",
        "tile/0/٠٠٠",
        "tile/0/../000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/000\n",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(FormatError, match="names no tile"):
        TileName.parse(path)


@given(data=st.data(), name=NAMES)
def test_a_mutated_path_is_another_or_none(data: st.DataObject, name: TileName) -> None:
    path = data.draw(mutated(name.path.encode())).decode(errors="replace")
    try:
        found = TileName.parse(path)
    except FormatError:
        return
    assert found.path == path


def test_the_tiles_of_the_specifications_example() -> None:
    found = new_tiles(0, 70_000)
    assert [name for name in found if name[2] < 256] == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert [name for name in found if name[2] == 256] == [(0, index, 256) for index in range(273)] + [(1, 0, 256)]
    assert new_tiles(0, 256) == [(0, 0, 256), (1, 0, 1)]
    assert new_tiles(256, 256) == []
    assert new_tiles(256, 257) == [(0, 1, 1)]
    assert new_tiles(255, 513) == [(0, 0, 256), (0, 1, 256), (0, 2, 1), (1, 0, 2)]


@given(old=st.integers(0, 3000), more=st.integers(0, 3000))
def test_new_tiles_are_those_that_growing_changes(old: int, more: int) -> None:
    tree = Tree([b""] * old)
    before = dict(tree.tiles)
    tree.add([b""] * more)
    changed = [(*name, len(tile) // 32) for name, tile in tree.tiles.items() if before.get(name) != tile]
    assert sorted(changed) == sorted(new_tiles(old, old + more))


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=256))
def test_bundles(entries: list[bytes]) -> None:
    bundle = format_bundle(entries)
    assert bundle == b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)
    assert parse_bundle(bundle, len(entries)) == entries
    for wrong in (bundle[:-1], bundle + b"\0", bundle + b"\0\0"):
        with pytest.raises(FormatError, match="the bundle"):
            parse_bundle(wrong, len(entries))


def test_what_no_bundle_holds() -> None:
    assert len(format_bundle([bytes(65_535)])) == 65_537
    with pytest.raises(LedgerError, match="entry 1 of the bundle has 65536 bytes, at most 65535 are possible"):
        format_bundle([b"", bytes(65_536)])
    with pytest.raises(LedgerError, match="a bundle holds 1 to 256 entries, not 0"):
        format_bundle([])
