"""Saving replaces a file in one step: the old one is whole until the new one is."""

import os
import stat
import subprocess
import sys
import threading

import pytest

import rushlight as rl
from rushlight.serialization import atomic, load, save
from tests.serialization import kill_during_save

posix = pytest.mark.skipif(os.name == "nt", reason="modes, links and locks of POSIX")


class Explodes:
    def __reduce__(self):
        raise RuntimeError("cannot be pickled")


def test_killed_savers_lose_nothing():
    kill_during_save.run(10, seed=0)


@pytest.mark.slow
def test_many_killed_savers_lose_nothing(request):
    if request.config.getoption("markexpr") != "slow":
        pytest.skip("takes a minute: run pytest -m slow, or the script kill_during_save.py")
    kill_during_save.run(200, seed=1)


def test_failure_while_pickling_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.pt"
    save({"a": 1}, path)
    with pytest.raises(RuntimeError, match="cannot be pickled"):
        save([rl.ones(10), Explodes()], path)
    assert load(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["x.pt"]
    with pytest.raises(RuntimeError, match="cannot be pickled"):
        save(Explodes(), tmp_path / "new.pt")
    assert os.listdir(tmp_path) == ["x.pt"]


@pytest.mark.parametrize("step", ["write", "_to_disk", "replace"])
def test_failure_while_writing_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "x.pt"
    save({"a": 1}, path)

    def fail(*args):
        raise OSError(28, "No space left on device")

    if step == "write":
        monkeypatch.setattr("rushlight.serialization.container.Writer.close", fail)
    else:
        monkeypatch.setattr(*((atomic, step) if step == "_to_disk" else (os, step)), fail)
    with pytest.raises(OSError, match="No space"):
        save(rl.ones(10), path)
    monkeypatch.undo()
    assert load(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["x.pt"]


def test_content_is_on_disk_before_the_name_changes(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("sync"), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("replace"), replace(a, b))[1])
    save(rl.ones(3), tmp_path / "x.pt")
    if sys.platform == "linux":
        assert done == ["sync", "replace", "sync"]  # the file, its name, the folder


@posix
def test_mode(tmp_path):
    path = tmp_path / "x.pt"
    old = os.umask(0o027)
    try:
        save(1, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(old)
    path.chmod(0o604)
    save(2, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert load(path) == 2


@posix
def test_link_stays_a_link(tmp_path):
    (tmp_path / "deep").mkdir()
    target, link = tmp_path / "deep" / "x.pt", tmp_path / "latest.pt"
    save(1, target)
    link.symlink_to(target)
    save(2, link)
    assert link.is_symlink() and load(target) == 2
    target.unlink()  # and a dangling one makes its target, as open() would
    save(3, link)
    assert link.is_symlink() and load(target) == 3


@posix
def test_pipe_and_device(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    save({"a": rl.ones(2)}, pipe)
    reader.join()
    (tmp_path / "x.pt").write_bytes(got[0])
    assert load(tmp_path / "x.pt")["a"].tolist() == [1, 1]
    save(1, os.devnull)


@posix
def test_read_only_file_and_folder(tmp_path):
    """In another process, which gives up root's rights if it has them."""
    path = tmp_path / "x.pt"
    save(1, path)
    program = f"""
import os, warnings
from rushlight.serialization import load, save
path = {str(path)!r}
os.chmod(path, 0o444)
os.chmod(os.path.dirname(path), 0o777)
if os.getuid() == 0:
    os.setuid(65534)
try:
    save(2, path)
except PermissionError as error:
    print("refused:", "x.pt" in str(error))
print(load(path))
"""
    for folder in (tmp_path, *tmp_path.parents[:3]):  # with xdist, one more than without
        if folder.stat().st_uid == os.getuid() and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o755)
    run = [sys.executable, "-c", program]
    out = subprocess.run(run, capture_output=True, text=True, cwd=os.getcwd(), check=False)
    assert out.stdout == "refused: True\n1\n", out.stderr


def test_folder_that_allows_no_new_file(tmp_path, monkeypatch):
    path = tmp_path / "x.pt"
    save(1, path)

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(atomic, "_create", refuse)
    with pytest.warns(UserWarning, match="in place"):
        save(2, path)
    assert load(path) == 2
    with pytest.raises(PermissionError):
        save(3, tmp_path / "new.pt")


def test_leftovers_of_killed_savers_are_swept(tmp_path):
    left = tmp_path / ".x.pt.0123456789ab.saving"
    other = tmp_path / ".y.pt.0123456789ab.saving"
    left.write_bytes(b"half")
    other.write_bytes(b"half")
    save(1, tmp_path / "x.pt")
    assert sorted(os.listdir(tmp_path)) == [other.name, "x.pt"]


@posix
def test_files_still_being_written_are_not_swept(tmp_path):
    path = tmp_path / "x.pt"
    with atomic.replacing(str(path)) as file:
        file.write(b"slow")
        save("quick", path)
        assert len(os.listdir(tmp_path)) == 2
        assert load(path) == "quick"
    assert path.read_bytes() == b"slow"
    assert os.listdir(tmp_path) == ["x.pt"]


def test_many_threads_save_to_one_path(tmp_path):
    path = tmp_path / "x.pt"
    errors = []

    def work(k):
        try:
            for _ in range(5):
                save({"k": k, "v": rl.full((1000,), k)}, path)
                got = load(path)
                assert set(got["v"].tolist()) == {got["k"]}
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert os.listdir(tmp_path) == ["x.pt"]


def test_wrong_places(tmp_path):
    with pytest.raises(RuntimeError, match="nowhere"):
        save(1, tmp_path / "nowhere" / "x.pt")
    with pytest.raises(IsADirectoryError, match="folder"):
        save(1, tmp_path)


def test_long_and_relative_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "x" * 250 + ".pt"
    save(1, name)
    save(2, name)
    assert load(name) == 2 and os.listdir(".") == [name]
