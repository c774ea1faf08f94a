"""Files told apart by what is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.files import Files, Watched, look


def test_a_change_is_seen_once_and_when_it_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("one")
    files = Files()
    assert files.read(str(file), 2) == b"on"
    watched = Watched(files)
    assert [watched.changed() for _ in range(3)] == [False] * 3
    file.write_text("tw")
    assert not watched.changed()
    file.write_text("two")
    assert not watched.changed(), "it was still being written"
    assert watched.changed()
    files.read(str(file))
    assert [watched.changed() for _ in range(3)] == [False] * 3
    file.write_text("two")
    assert [watched.changed() for _ in range(3)] == [False] * 3, "written anew, with the same in it"


def test_what_is_not_read_to_its_end_is_not_a_change_again(tmp_path: Path) -> None:
    """A file with a mistake is read as far as that; what it included is not read at all."""
    main, part = tmp_path / "main", tmp_path / "part"
    main.write_text("good")
    part.write_text("good")
    files = Files()
    files.read(str(main)), files.read(str(part))
    watched = Watched(files)
    main.write_text("bad")
    part.write_text("other")
    assert [watched.changed() for _ in range(2)] == [False, True]
    files.begin()
    files.read(str(main))
    assert [watched.changed() for _ in range(3)] == [False] * 3
    part.write_text("another")
    assert [watched.changed() for _ in range(3)] == [False, True, False]


def test_files_that_come_and_go_are_changes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")
    files = Files()
    assert files.matching(f"{tmp_path}/*.yaml") == [f"{tmp_path}/a.yaml"]
    assert files.matching(f"{tmp_path}/plain") == [f"{tmp_path}/plain"]
    with pytest.raises(FileNotFoundError):
        files.read(f"{tmp_path}/secret")
    watched = Watched(files)
    assert [watched.changed() for _ in range(2)] == [False] * 2
    (tmp_path / "b.yaml").write_text("")
    assert [watched.changed() for _ in range(3)] == [False, True, False]
    (tmp_path / "secret").write_text("x")
    assert [watched.changed() for _ in range(3)] == [False, True, False]
    (tmp_path / "secret").unlink()
    assert [watched.changed() for _ in range(3)] == [False, True, False]


def test_another_target_of_a_link_is_a_change(tmp_path: Path) -> None:
    for name in "12":
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "data").symlink_to("1")
    files = Files()
    files.read(f"{tmp_path}/data/file")
    before = look(files.found)
    assert before == files.found
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").rename(tmp_path / "data")
    assert look(files.found) != before


def test_a_stamp_tells_contents_apart(tmp_path: Path) -> None:
    names = [str(tmp_path / "a"), None, str(tmp_path / "b")]
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("y")
    files = Files()
    first = files.stamp(names)
    assert first == files.stamp(names) != ""
    (tmp_path / "b").write_text("z")
    assert files.stamp(names) != first
    (tmp_path / "b").unlink()
    assert files.stamp(names)
    assert ("file", names[2]) in files.found
    assert files.stamp([None]) == ""
