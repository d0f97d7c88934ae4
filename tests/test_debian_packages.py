"""cmake/SimclrPackages.cmake and scripts/packages: which packages there are, what is in each and what each depends on.

The preset packages is configured, not built: small libraries and programs take the built ones' places. The packages
themselves are used by scripts/test_packages.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SKIP_CODE = 77
VERSION = re.search(r"project\(simclr VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
PROGRAMS = re.search(r"foreach\(program ([^)]+)\)", (ROOT / "examples" / "CMakeLists.txt").read_text())[1].split()
HEADERS = [path.relative_to(ROOT) for place in ("core/*.h", "kernels/*.h", "nn/*.h", "data/**/*.h")
           for path in ROOT.glob(place) if not re.search("^// Private", path.read_text(), re.M)]
OPTIONAL = ["-DSIMCLR_ONEDNN=AUTO", "-DSIMCLR_FILE_LIBRARIES=AUTO", "-DSIMCLR_MPI=AUTO"]  # here any will do


def output(*command, **options):
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.stdout[-4000:]}"
    return done.stdout


def stand_in(build):
    """What a build of the folder makes, each file with the SONAME and the RPATH that CMake gave it."""
    ninja = (build / "build.ninja").read_text()

    def rpath_of(file):
        return re.findall(r"-Wl,-rpath,\S+", ninja.partition(f"build {file}:")[2].partition("\n\n")[0])

    soname = re.search(r"SONAME = (libsimclr\.so\S+)", ninja)[1]
    source = build / "stand_in.c"
    source.write_text("#include <stdio.h>\nint simclr_stand_in(void) { return puts(\"\"); }\n")
    library = build / f"libsimclr.so.{VERSION}"
    output("cc", "-shared", "-fPIC", source, "-o", library, f"-Wl,-soname,{soname}")
    for link in (soname, "libsimclr.so"):
        (build / link).symlink_to(library.name)
    (build / "lib").mkdir(exist_ok=True)
    output("cc", "-shared", "-fPIC", source, "-o", build / "lib" / "libsimclr_mpi.so",
           *rpath_of("lib/libsimclr_mpi.so"))
    source.write_text("int simclr_stand_in(void);\nint main(void) { return simclr_stand_in(); }\n")
    for program in PROGRAMS:
        if program == PROGRAMS[0]:
            output("cc", source, "-o", build / "examples" / program, "-L", build, "-lsimclr",
                   *rpath_of(f"examples/{program}"))
        else:
            shutil.copy(build / "examples" / PROGRAMS[0], build / "examples" / program)
    return soname


class Package:
    def __init__(self, file, folder):
        self.file, self.folder = file, folder / file.stem
        self.folder.mkdir(parents=True)
        output("dpkg-deb", "--extract", file, self.folder)
        self.fields = dict(re.findall(r"^([\w-]+): (.*)$", output("dpkg-deb", "--field", file), re.M))
        self.depends = re.split(", ?", self.fields.get("Depends", ""))
        self.listed = output("dpkg-deb", "--contents", file).splitlines()
        self.files = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")
                      if path.is_symlink() or not path.is_dir()}

    def besides_documents(self):
        return {file for file in self.files if not file.startswith("usr/share/doc/")}


class DebianPackages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="simclr-deb-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.build = cls.folder / "build"
        output("cmake", "--preset", "packages", "-B", cls.build, "-DSIMCLR_MAINTAINER=A Maintainer <a@b.example>", *OPTIONAL,
               cwd=ROOT)
        cls.with_mpi = "libsimclr_mpi.so:" in (cls.build / "build.ninja").read_text()
        cls.soname = stand_in(cls.build)
        output("cpack", "--config", cls.build / "CPackConfig.cmake", "-B", cls.folder / "packages")
        cls.files = sorted((cls.folder / "packages").glob("*.deb"))
        cls.packages = {file.name.split("_")[0]: Package(file, cls.folder / "content") for file in cls.files}
        cls.library = cls.soname.replace(".so.", "")  # libsimclr0.1
        cls.multiarch = output("dpkg-architecture", "-qDEB_HOST_MULTIARCH").strip()

    def test_names_and_fields(self):
        names = {self.library, "libsimclr-dev", "simclr-tools"} | ({"libsimclr-mpi"} if self.with_mpi else set())
        self.assertEqual(self.packages.keys(), names)
        self.assertTrue(VERSION.startswith(self.library.removeprefix("libsimclr") + "."), self.library)
        guide = (ROOT / "docs" / "install.md").read_text()
        self.assertEqual([name for name in names if f"| `{name}` |" not in guide], [], "docs/install.md")
        architecture = output("dpkg", "--print-architecture").strip()
        for name, package in self.packages.items():
            with self.subTest(package=name):
                self.assertEqual(package.file.name, f"{name}_{VERSION}_{architecture}.deb")
                wanted = {"Package": name, "Version": VERSION, "Architecture": architecture, "Source": "libsimclr",
                          "Maintainer": "A Maintainer <a@b.example>", "Priority": "optional"}
                self.assertEqual({field: package.fields.get(field) for field in wanted}, wanted)
                self.assertRegex(package.fields["Description"], "^contrastive self-supervised learning: ")
        sections = {name: package.fields["Section"] for name, package in self.packages.items()}
        self.assertEqual(sections, {name: {self.library: "libs", "libsimclr-mpi": "libs", "simclr-tools": "science",
                                           "libsimclr-dev": "libdevel"}[name] for name in names})

    def test_dependencies(self):
        own = f"{self.library} (= {VERSION})"
        for name, package in self.packages.items():
            with self.subTest(package=name):
                self.assertEqual(package.depends.count(own), 0 if name == self.library else 1, package.depends)
                ours = [depend for depend in package.depends if "simclr" in depend]
                self.assertEqual(ours, [] if name == self.library else [own])
        self.assertEqual(self.packages["libsimclr-dev"].depends, [own])
        for name in (self.library, "simclr-tools"):  # found by dpkg-shlibdeps
            self.assertRegex(" ".join(self.packages[name].depends), r"\blibc6 ")

    def test_files(self):
        lib = f"usr/lib/{self.multiarch}"
        self.assertEqual(self.packages[self.library].besides_documents(),
                         {f"{lib}/{self.soname}", f"{lib}/libsimclr.so.{VERSION}"})
        self.assertEqual(self.packages["simclr-tools"].besides_documents(), {f"usr/bin/{name}" for name in PROGRAMS})
        if self.with_mpi:
            self.assertEqual(self.packages["libsimclr-mpi"].besides_documents(), {f"{lib}/simclr/libsimclr_mpi.so"})
        development = self.packages["libsimclr-dev"].besides_documents()
        headers = {f"usr/include/simclr/{header}" for header in [*HEADERS, "simclr.h"]}
        self.assertEqual({file for file in development if file.startswith("usr/include/")}, headers)
        rest = development - headers
        self.assertLessEqual({f"{lib}/libsimclr.so", f"{lib}/pkgconfig/simclr.pc", f"{lib}/cmake/simclr/simclrConfig.cmake",
                              f"{lib}/cmake/simclr/simclrTargets.cmake"}, rest)
        known = tuple(f"{lib}/{place}" for place in ("cmake/simclr/", "pkgconfig/simclr.pc", "libsimclr.so"))
        self.assertEqual([file for file in rest if not file.startswith(known)], [])

    def test_no_file_is_in_two_packages(self):
        everything = [file for package in self.packages.values() for file in package.files]
        self.assertEqual(sorted(file for file in set(everything) if everything.count(file) > 1), [])

    def test_each_has_its_licence_and_changes(self):
        licence = (ROOT / "LICENSE").read_text()
        for name, package in self.packages.items():
            with self.subTest(package=name):
                documents = package.folder / "usr" / "share" / "doc" / name
                self.assertEqual({path.name for path in documents.iterdir()}, {"copyright", "changelog.gz"})
                self.assertTrue((documents / "copyright").read_text().startswith(licence))
                changes = output("dpkg-parsechangelog", "-l", documents / "changelog.gz")
                self.assertIn(f"Version: {VERSION}\n", changes)

    def test_owners_and_modes(self):
        for package in self.packages.values():
            for line in package.listed:
                mode, owner, *_, name = line.split(None, 5)
                with self.subTest(file=name):
                    self.assertEqual(owner, "root/root")
                    program = "/bin/" in name
                    file = "-rwxr-xr-x" if program else "-rw-r--r--"
                    self.assertEqual(mode, {"d": "drwxr-xr-x", "l": "lrwxrwxrwx"}.get(mode[0], file))

    def test_libraries_are_looked_for_where_the_system_says(self):
        for package in self.packages.values():
            for file in package.besides_documents():
                path = package.folder / file
                if path.is_file() and path.read_bytes().startswith(b"\x7fELF"):
                    self.assertNotRegex(output("readelf", "--dynamic", path), "RPATH|RUNPATH", file)

    def test_nothing_names_the_build(self):
        for package in self.packages.values():
            for file in package.files:
                path = package.folder / file
                if path.is_file() and not path.is_symlink() and "/doc/" not in file:
                    text = path.read_bytes()
                    self.assertFalse(str(ROOT).encode() in text or str(self.folder).encode() in text, file)

    def test_pkg_config_finds_what_is_installed(self):
        whole = self.folder / "whole"
        whole.mkdir()
        for file in self.files:
            output("dpkg-deb", "--extract", file, whole)
        environment = dict(os.environ, PKG_CONFIG_PATH=str(whole / "usr/lib" / self.multiarch / "pkgconfig"))
        try:
            flags = output("pkg-config", "--cflags", "--libs", f"simclr = {VERSION}", env=environment).split()
        except FileNotFoundError:
            self.skipTest("no pkg-config")
        folders = {flag[:2]: pathlib.Path(flag[2:]).resolve() for flag in flags}
        self.assertEqual(folders["-I"], (whole / "usr/include").resolve())
        self.assertEqual(folders["-L"], (whole / "usr/lib" / self.multiarch).resolve())
        self.assertEqual(flags[2:], ["-lsimclr"])


class Script(unittest.TestCase):
    """scripts/packages with stand-ins for cmake and cpack."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="simclr-deb-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.out, self.bin = self.folder / "out", self.folder / "bin"
        self.out.mkdir()
        self.bin.mkdir()
        (self.out / "old_1_amd64.deb").write_text("old")

    def run_script(self, *options, cmake="exit 0", cpack="exit 1", path=None):
        for name, text in (("cmake", cmake), ("cpack", cpack)):
            (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
            (self.bin / name).chmod(0o755)
        environment = dict(os.environ, PATH=path or f"{self.bin}:{os.environ['PATH']}")
        return subprocess.run([ROOT / "scripts" / "packages", "--out", self.out, *options], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, env=environment)

    def held(self):
        return {path.name: path.read_bytes() for path in self.out.iterdir()}

    def test_what_was_there_stays_where_a_build_fails(self):
        before = self.held()
        for faults in ({"cmake": "echo no compiler; exit 1"}, {"cpack": "echo no compiler; exit 1"}):
            done = self.run_script(**faults)
            self.assertEqual((done.returncode, self.held()), (1, before))
            self.assertIn("no compiler\npackages: the build failed", done.stderr)

    def test_packages_take_their_names_when_all_are_whole(self):
        made = self.folder / "made" / "DEBIAN"
        made.mkdir(parents=True)
        (made / "control").write_text("Package: new\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.example>\n"
                                      "Depends: libc6 (>= 2)\nDescription: a stand-in\n")
        (self.out / "new_1_all.deb").write_text("half")
        cpack = f'mkdir -p "$4" && dpkg-deb --build {made.parent} "$4/new_1_all.deb"'
        done = self.run_script(cpack=cpack)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.held().keys(), {"old_1_amd64.deb", "new_1_all.deb"})
        self.assertEqual(output("dpkg-deb", "--field", self.out / "new_1_all.deb", "Package"), "new\n")
        self.assertEqual(done.stdout, f"{self.out}/new_1_all.deb, 1 KiB\n  depends on libc6 (>= 2)\n")

    def test_a_tool_that_is_missing_is_named(self):
        for name in ("bash", "dirname", "cat"):
            (self.bin / name).symlink_to(shutil.which(name))
        done = self.run_script(path=str(self.bin))
        self.assertEqual((done.returncode, done.stderr), (1, "packages: no ninja here (Debian: ninja-build)\n"))

    def test_wrong_options(self):
        for options, message in ((["--where"], "unknown option --where (see --help)"), (["-D"], "-D wants a value")):
            done = self.run_script(*options)
            self.assertEqual((done.returncode, done.stderr), (2, f"packages: {message}\n"))


if __name__ == "__main__":
    for tool in ("cc", "ninja", "cpack", "dpkg-deb", "dpkg-shlibdeps"):
        if not shutil.which(tool):
            print(f"skipped: no {tool} here")
            sys.exit(SKIP_CODE)
    unittest.main()
