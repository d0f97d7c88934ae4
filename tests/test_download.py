"""scripts/download against a server on the loopback address."""
import contextlib
import dataclasses
import errno
import gzip
import hashlib
import io
import os
import pathlib
import random
import resource
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from unittest import mock

from support import script
from support.archive_server import Server, entry, tar_gz

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "scripts" / "download"

download = script.load(SCRIPT)
download.PAUSE = 0.01

FOLDER = "cifar-10-batches-bin"
SIZES = {name: 30_730 for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]}
CONTENT = {name: random.Random(name).randbytes(size) for name, size in SIZES.items()}
CONTENT["batches.meta.txt"] = b"airplane\nautomobile\n"


def good_entries():
    folder = entry(FOLDER, type=tarfile.DIRTYPE, mode=0o755)
    return [folder] + [entry(f"{FOLDER}/{name}", data) for name, data in CONTENT.items()]


GOOD = tar_gz(good_entries())


class Base(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.dir = self.folder / "data"
        self.final = self.dir / FOLDER
        patch = mock.patch.dict(os.environ, {"no_proxy": "*"})
        patch.start()
        self.addCleanup(patch.stop)

    def serve(self, body=GOOD, plan=("serve",)):
        server = Server(body, plan)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def archive(self, body, **fields):
        values = {"site": "", "file": "cifar.tar.gz", "size": len(body), "md5": hashlib.md5(body).hexdigest(), "folder": FOLDER,
                  "binaries": SIZES, "texts": ("batches.meta.txt", "readme.html")}
        return download.Archive(**(values | fields))

    def fetch(self, url, archive=None, *options):
        """Runs the program's main. Returns exit code, output and errors."""
        output, errors = io.StringIO(), io.StringIO()
        with mock.patch.dict(download.ARCHIVES, {"cifar10": archive or self.archive(GOOD)}), \
                contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = download.main(["cifar10", "--dir", str(self.dir), "--url", url, "--timeout", "5", *options])
        return code, output.getvalue(), errors.getvalue()

    def check_complete(self):
        found = {path.name: path.read_bytes() for path in self.final.iterdir()}
        self.assertEqual(found, CONTENT)
        self.assertTrue(all(path.is_file() and not path.is_symlink() for path in self.final.iterdir()))
        self.assertEqual([path.name for path in self.dir.iterdir()], [FOLDER])  # no .part, no temporary folder

    def check_failed(self, result, *words):
        code, _, errors = result
        self.assertEqual(code, 1)
        self.assertEqual(errors.count("\n"), 1, errors)
        for word in words:
            self.assertIn(word, errors)
        self.assertFalse(os.path.lexists(self.final))
        if self.dir.is_dir():
            rest = [path.name for path in self.dir.iterdir() if path.name != "cifar.tar.gz.part"]
            self.assertEqual(rest, [])


class Transfer(Base):
    def test_normal_then_already_there(self):
        server = self.serve()
        code, output, errors = self.fetch(server.url)
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("is ready", output)
        self.assertIn("100 %", output)
        self.check_complete()
        code, output, _ = self.fetch(server.url)
        self.assertEqual(code, 0)
        self.assertIn("already there", output)
        self.assertEqual(len(server.ranges), 1)

    def test_cut_then_resumed(self):
        server = self.serve(plan=["cut", "cut", "serve"])
        code, output, errors = self.fetch(server.url)
        self.assertEqual((code, errors), (0, ""))
        third = len(GOOD) // 3
        self.assertEqual(server.ranges, [None, f"bytes={third}-", f"bytes={2 * third}-"])
        self.assertIn("connection cut", output)
        self.check_complete()

    def test_cut_then_range_ignored(self):
        server = self.serve(plan=["cut", "full"])
        code, output, _ = self.fetch(server.url)
        self.assertEqual(code, 0)
        self.assertIn("cannot resume", output)
        self.check_complete()

    def test_cut_then_wrong_content_range(self):
        server = self.serve(plan=["cut", "wrong range", "serve"])
        code, output, _ = self.fetch(server.url)
        self.assertEqual(code, 0)
        self.assertIn("another part", output)
        self.assertEqual(server.ranges, [None, f"bytes={len(GOOD) // 3}-", None])
        self.check_complete()

    def test_range_refused_then_whole_file(self):
        server = self.serve(plan=["cut", 416, "serve"])
        self.assertEqual(self.fetch(server.url)[0], 0)
        self.assertEqual(server.ranges, [None, f"bytes={len(GOOD) // 3}-", None])
        self.check_complete()

    def test_starting_again_drops_what_was_there(self):
        self.dir.mkdir()
        (self.dir / "cifar.tar.gz.part").write_bytes(bytes(len(GOOD) // 2))
        server = self.serve(plan=["full cut", "serve"])
        self.assertEqual(self.fetch(server.url)[0], 0)
        self.assertEqual(server.ranges, [f"bytes={len(GOOD) // 2}-", f"bytes={len(GOOD) // 3}-"])
        self.check_complete()

    def test_cut_for_ever_keeps_part_for_the_next_run(self):
        server = self.serve(plan=["cut", 503, "serve"])
        self.check_failed(self.fetch(server.url, None, "--retries", "1"), "HTTP 503", "run again")
        self.assertEqual((self.dir / "cifar.tar.gz.part").read_bytes(), GOOD[:len(GOOD) // 3])
        code, output, _ = self.fetch(server.url)
        self.assertEqual(code, 0)
        self.assertIn("resuming", output)
        self.check_complete()

    def test_stalled_server(self):
        begin = time.monotonic()
        server = self.serve(plan=["stall"])
        self.check_failed(self.fetch(server.url, None, "--timeout", "0.3", "--retries", "1"), "connection lost")
        self.assertEqual((self.dir / "cifar.tar.gz.part").stat().st_size, 2 * (len(GOOD) // 3))  # all that came
        self.assertLess(time.monotonic() - begin, 10)

    def test_stale_part_is_replaced(self):
        for size in (1000, len(GOOD), len(GOOD) + 1):
            with self.subTest(size=size):
                self.dir.mkdir(exist_ok=True)
                (self.dir / "cifar.tar.gz.part").write_bytes(bytes(size))
                self.assertEqual(self.fetch(self.serve().url)[0], 0)
                self.check_complete()
                for path in self.final.iterdir():
                    path.unlink()
                self.final.rmdir()

    def test_wrong_checksum(self):
        body = GOOD[:-1] + bytes([GOOD[-1] ^ 1])
        self.check_failed(self.fetch(self.serve(body).url), "MD5")
        self.assertEqual(list(self.dir.iterdir()), [])

    def test_wrong_size(self):
        self.check_failed(self.fetch(self.serve(GOOD + b"x").url), f"{len(GOOD) + 1} bytes")
        self.check_failed(self.fetch(self.serve(GOOD[:-1]).url), f"{len(GOOD) - 1} bytes")

    def test_endless_body(self):
        self.check_failed(self.fetch(self.serve(plan=["endless"]).url), "more than")

    def test_not_found_is_not_retried(self):
        server = self.serve(plan=[404])
        self.check_failed(self.fetch(server.url), "404")
        self.assertEqual(len(server.ranges), 1)

    def test_no_server(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.check_failed(self.fetch(f"http://127.0.0.1:{port}/x", None, "--retries", "1"), "refused")

    def test_name_look_up_is_bounded(self):
        begin = time.monotonic()
        with mock.patch.object(socket, "getaddrinfo", lambda *arguments: time.sleep(20)):
            result = self.fetch("http://nowhere.invalid/x", None, "--timeout", "0.2", "--retries", "0")
        self.check_failed(result, "no network?")
        self.assertLess(time.monotonic() - begin, 10)

    def test_options(self):
        for options in (["cifar10", "--expect", f"1:{'0' * 32}"], ["cifar10", "--url", "file:///etc/passwd"],
                        ["cifar10", "--url", "http://x", "--expect", "1"], ["mnist"],
                        ["cifar10", "--retries", "-1"]):
            with self.subTest(options=options), contextlib.redirect_stderr(io.StringIO()), \
                    self.assertRaises(SystemExit) as caught:
                download.main(options)
            self.assertEqual(caught.exception.code, 2)


class Folder(Base):
    def test_incomplete_folder_is_left_alone(self):
        self.final.mkdir(parents=True)
        (self.final / "data_batch_1.bin").write_bytes(b"mine")
        code, _, errors = self.fetch(self.serve().url)
        self.assertEqual(code, 1)
        self.assertIn("move it away", errors)
        self.assertEqual((self.final / "data_batch_1.bin").read_bytes(), b"mine")

    def test_cannot_create(self):
        self.dir.write_text("a file")
        code, _, errors = self.fetch(self.serve().url)
        self.assertEqual(code, 1)
        self.assertEqual(errors.count("\n"), 1)
        self.assertIn(str(self.dir), errors)

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_no_permission(self):
        self.dir.mkdir(mode=0o555)
        self.check_failed(self.fetch(self.serve().url), "Permission denied")

    def test_part_is_never_followed(self):
        self.dir.mkdir()
        victim = self.folder / "victim"
        victim.write_text("precious")
        (self.dir / "cifar.tar.gz.part").symlink_to(victim)
        self.assertEqual(self.fetch(self.serve().url)[0], 1)
        self.assertEqual(victim.read_text(), "precious")

    def test_two_at_once(self):
        self.dir.mkdir()
        with open(self.dir / "cifar.tar.gz.part", "wb") as file:
            download.fcntl.flock(file, download.fcntl.LOCK_EX)
            self.check_failed(self.fetch(self.serve().url), "another download")

    def test_no_room_is_said_before(self):
        server = self.serve()
        with mock.patch.object(download.shutil, "disk_usage", return_value=mock.Mock(free=1000)):
            self.check_failed(self.fetch(server.url), "needed")
        self.assertEqual(server.ranges, [])

    def limited(self, limit, url):
        """The exit code and errors of a fetch in a process that may write files of `limit` bytes."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            return self.fetch(url)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def test_disk_full_while_fetching(self):
        server = self.serve()
        self.check_failed(self.limited(len(GOOD) // 2, server.url), "cannot write", "make room")
        self.assertEqual((self.dir / "cifar.tar.gz.part").stat().st_size, len(GOOD) // 2)
        self.assertEqual(self.fetch(server.url)[0], 0)  # goes on where there is room again
        self.assertEqual(server.ranges[-1], f"bytes={len(GOOD) // 2}-")
        self.check_complete()

    def test_disk_full_while_unpacking(self):
        server = self.serve()
        real = download.write_all

        def full(file, data, path):
            if path.name == "data_batch_3.bin":
                file = mock.Mock(write=mock.Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
            real(file, data, path)

        with mock.patch.object(download, "write_all", full):
            self.check_failed(self.fetch(server.url), "No space left", "data_batch_3.bin")
        self.assertEqual(self.fetch(server.url)[0], 0)
        self.assertEqual(len(server.ranges), 1)  # the archive was kept
        self.check_complete()

    def test_flushed_before_renamed(self):
        calls = []
        fsync, rename = os.fsync, os.rename

        def record(kind, call):
            def recorded(*arguments):
                calls.append((kind, os.readlink(f"/proc/self/fd/{arguments[0]}") if kind == "fsync" else arguments[1]))
                return call(*arguments)
            return recorded

        with mock.patch.object(os, "fsync", record("fsync", fsync)), \
                mock.patch.object(os, "rename", record("rename", rename)):
            self.assertEqual(self.fetch(self.serve().url)[0], 0)
        temporary = self.dir.resolve() / f".{FOLDER}.unpacking"
        expected = [("fsync", str(temporary / name)) for name in CONTENT]
        expected += [("fsync", str(temporary)), ("rename", self.final), ("fsync", str(self.dir.resolve()))]
        self.assertEqual(calls, expected)


class Hostile(Base):
    def refused(self, entries, *words):
        body = tar_gz(entries)
        self.check_failed(self.fetch(self.serve(body).url, self.archive(body)), "archive refused", *words)
        self.assertEqual(list(self.dir.iterdir()), [])
        self.assertEqual(list(self.folder.iterdir()), [self.dir])

    def test_names_that_lead_outside(self):
        for name in ("../evil", f"{FOLDER}/../../evil", f"{FOLDER}/../data_batch_1.bin", str(self.folder / "evil")):
            with self.subTest(name=name):
                self.refused(good_entries() + [entry(name, b"evil")], "outside")

    def test_special_members(self):
        name = f"{FOLDER}/data_batch_1.bin"
        for kind, link in ((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, f"{FOLDER}/test_batch.bin"),
                           (tarfile.CHRTYPE, ""), (tarfile.BLKTYPE, ""), (tarfile.FIFOTYPE, ""),
                           (tarfile.CONTTYPE, "")):
            with self.subTest(kind=kind):
                rest = [item for item in good_entries() if item[0].name != name]
                self.refused(rest + [entry(name, type=kind, linkname=link)], "data_batch_1.bin", "special")
        self.refused([entry(FOLDER, type=tarfile.SYMTYPE, linkname=str(self.folder))] + good_entries()[1:], "special")

    def test_wrong_or_huge_members(self):
        rest = good_entries()[:-1]
        self.refused(good_entries()[:-2] + [entry(f"{FOLDER}/test_batch.bin", bytes(30_731))], "30731 bytes")
        self.refused(rest + [entry(f"{FOLDER}/readme.html", bytes(100_000))], "too large")
        self.refused(rest + [entry("other", bytes(100_000))], "too large")
        self.refused(rest + [entry(f"other{i}", bytes(60_000)) for i in range(50)], "more than it should")
        # A header that announces more than there is: no terabyte is waited for.
        info, _ = entry(f"{FOLDER}/readme.html")
        info.size = 1 << 40
        self.refused(rest + [(info, b"")], "too large")

    def test_huge_extended_header(self):
        header = tarfile.TarInfo("pax")
        header.type, header.size = tarfile.XHDTYPE, 1 << 30
        body = gzip.compress(header.tobuf() + bytes(1 << 24), 1)
        self.check_failed(self.fetch(self.serve(body).url, self.archive(body)), "more than it should")

    def test_other_names_are_passed_over(self):
        body = tar_gz(good_entries() + [entry("surprise", b"x"), entry(f"{FOLDER}/.bashrc", b"x"),
                                        entry(f"{FOLDER}/sub/data_batch_1.bin", b"x")])
        self.assertEqual(self.fetch(self.serve(body).url, self.archive(body))[0], 0)
        self.check_complete()

    def test_missing_member(self):
        self.refused(good_entries()[:3] + good_entries()[4:], "no data_batch_3.bin")
        self.refused([], "no data_batch_1.bin")

    def test_duplicate_member(self):
        self.refused(good_entries() + [good_entries()[2]], "twice")

    def test_damaged_archives(self):
        bodies = {"truncated": GOOD[:-len(GOOD) // 2], "no gzip": b"hello" * 1000,
                  "flipped": GOOD[:5000] + bytes([GOOD[5000] ^ 255]) + GOOD[5001:],
                  "no tar": gzip.compress(b"hello" * 1000)}
        for name, body in bodies.items():
            with self.subTest(name=name):
                result = self.fetch(self.serve(body).url, self.archive(body))
                self.check_failed(result, "archive refused")
                self.assertEqual(list(self.dir.iterdir()), [])


class Program(Base):
    """The program as the user runs it, with the published sizes."""

    def command(self, server, *options):
        body = server.body
        return [sys.executable, str(SCRIPT), "cifar100", "--dir", str(self.dir), "--url", server.url, "--expect",
                f"{len(body)}:{hashlib.md5(body).hexdigest()}", *options]

    @classmethod
    def setUpClass(cls):
        plain = io.BytesIO()
        with gzip.GzipFile(fileobj=plain, mode="wb", compresslevel=1) as stream, \
                tarfile.open(fileobj=stream, mode="w|") as tar:
            for name, size in (("train.bin", 153_700_000), ("test.bin", 30_740_000)):
                info = tarfile.TarInfo(f"cifar-100-binary/{name}")
                info.size = size
                with open("/dev/zero", "rb") as zeros:
                    tar.addfile(info, zeros)
        cls.body = plain.getvalue()

    def test_run(self):
        command = self.command(self.serve(self.body))
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(path.name for path in self.dir.glob("*/*")), ["test.bin", "train.bin"])
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.assertIn("already there", done.stdout)

    def test_killed(self):
        server = self.serve(self.body, ["stall", "serve"])
        process = subprocess.Popen(self.command(server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        part = self.dir / "cifar-100-binary.tar.gz.part"
        third = len(self.body) // 3
        limit = time.monotonic() + 30
        while time.monotonic() < limit and not (part.exists() and part.stat().st_size == third):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertEqual([path.name for path in self.dir.iterdir()], [part.name])
        # The second run resumes; kill it, too, while it unpacks.
        process = subprocess.Popen(self.command(server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        temporary = self.dir / ".cifar-100-binary.unpacking"
        while time.monotonic() < limit and not temporary.exists() and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertEqual(server.ranges, [None, f"bytes={third}-"])
        self.assertFalse((self.dir / "cifar-100-binary").exists())
        done = subprocess.run(self.command(server), capture_output=True, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual([path.name for path in self.dir.iterdir()], ["cifar-100-binary"])

    def test_published_figures(self):
        cifar10, cifar100 = download.ARCHIVES["cifar10"], download.ARCHIVES["cifar100"]
        self.assertEqual((cifar10.size, cifar10.md5), (170052171, "c32a1d4ab5d03f1284b67883e8d87530"))
        self.assertEqual((cifar100.size, cifar100.md5), (168513733, "03b5dce01913d631647c71ecec9e9cb8"))
        self.assertEqual(set(cifar10.binaries.values()), {30_730_000})
        self.assertEqual(len(cifar10.binaries), 6)
        stl10 = download.ARCHIVES["stl10"]
        self.assertEqual((stl10.size, stl10.md5), (2640397119, "91f7769df0f17e558f3565bffb0c7dfb"))
        self.assertEqual(stl10.binaries, {"train_X.bin": 138_240_000, "train_y.bin": 5000, "test_X.bin": 221_184_000,
                                          "test_y.bin": 8000, "unlabeled_X.bin": 2_764_800_000})
        urls = [download.parse([name])[2] for name in ("cifar10", "stl10")]
        self.assertEqual(urls, ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                                "https://cs.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"])

    def test_stl10(self):
        """In the published archive's layout, with one picture a file; its published sizes are looked at above."""
        published = download.ARCHIVES["stl10"]
        content = {name: bytes(27_648 if name.endswith("_X.bin") else 1) for name in published.binaries}
        texts = {"class_names.txt": b"airplane\n", "fold_indices.txt": b"0 " * 25_000}
        body = tar_gz([entry("stl10_binary", type=tarfile.DIRTYPE, mode=0o755)] +
                      [entry(f"stl10_binary/{name}", data) for name, data in (content | texts).items()])
        small = dataclasses.replace(published, size=len(body), md5=hashlib.md5(body).hexdigest(),
                                    binaries={name: len(data) for name, data in content.items()})
        with mock.patch.dict(download.ARCHIVES, {"stl10": small}), contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(download.main(["stl10", "--dir", str(self.dir), "--url", self.serve(body).url]), 0)
        found = {path.name: path.read_bytes() for path in (self.dir / "stl10_binary").iterdir()}
        self.assertEqual(found, content | texts)


if __name__ == "__main__":
    unittest.main()
