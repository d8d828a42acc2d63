"""The folder of the metrics store is used only if no other user can change it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flask_ops.core.multiprocess import UnsafeStoreError, distrust, open_own, publish

ME = os.geteuid()


def test_a_folder_that_others_can_change_is_not_trusted(tmp_path: Path) -> None:
    for mode, reason in (
        (0o700, None),
        (0o755, None),
        (0o775, "other users may write to it, its mode is 0775"),
        (0o1777, "other users may write to it, its mode is 1777"),
    ):
        tmp_path.chmod(mode)
        assert reason == distrust(tmp_path, ME)
    tmp_path.chmod(0o700)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)

    assert distrust(link, ME) is None
    assert f"it belongs to the user {ME}, not to {ME + 1}" == distrust(tmp_path, ME + 1)
    assert distrust(tmp_path, ME + 1, ME) is None


def test_the_link_of_another_user_to_an_own_folder_is_not_trusted(tmp_path: Path) -> None:
    if ME != 0:
        pytest.skip("only root can make a link of another user")
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "theirs").symlink_to(tmp_path / "mine")
    os.lchown(tmp_path / "theirs", ME + 1, -1)

    assert f"it belongs to the user {ME + 1}, not to {ME}" == distrust(tmp_path / "theirs", ME)


def test_no_link_is_opened(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "soft").symlink_to(victim)
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    (tmp_path / "hard").hardlink_to(victim)
    os.mkfifo(tmp_path / "pipe")
    for name in ("soft", "dangling", "hard", "pipe"):
        with pytest.raises(UnsafeStoreError, match=f"{name} in it is a link") as raised:
            open_own(tmp_path / name, os.O_RDWR | os.O_CREAT)
        assert str(tmp_path) == raised.value.filename

    assert ("precious", False) == (victim.read_text(), (tmp_path / "none").exists())
    os.close(open_own(tmp_path / "new", os.O_RDWR | os.O_CREAT))
    with pytest.raises(FileNotFoundError):
        open_own(tmp_path / "none", os.O_RDWR)


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_what_is_published_goes_through_no_link(link: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    getattr(tmp_path / "results.new", link)(victim)
    for content in (b"first", b"second"):
        publish(tmp_path / "results.json", content)

        assert content == (tmp_path / "results.json").read_bytes()
    assert "precious" == victim.read_text()
    assert {"results.json", "victim"} == {path.name for path in tmp_path.iterdir()}
