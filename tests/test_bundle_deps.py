"""scripts/bundle_deps: what it packs is found by a build, and makes a day on a GPU (scripts/gpu_day) that builds nothing."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from support import toy_gpu

ROOT = pathlib.Path(__file__).resolve().parent.parent
# cmake/SimclrCuda.cmake where the toolkit is a folder without cuBLAS and NVTX.
TOOLKIT = """
cmake_minimum_required(VERSION 3.25)
project(toy LANGUAGES CXX)
function(simclr_summary name state)
  message(STATUS "said ${name}: ${state}")
endfunction()
function(simclr_link)
endfunction()
function(enable_language)
endfunction()
function(find_package name)
  if(name STREQUAL "CUDAToolkit")
    set(CUDAToolkit_FOUND TRUE PARENT_SCOPE)
    set(CUDAToolkit_NVCC_EXECUTABLE nvcc PARENT_SCOPE)
    set(CUDAToolkit_VERSION 13.0 PARENT_SCOPE)
    set(CUDAToolkit_VERSION_MAJOR 13 PARENT_SCOPE)
    set(CUDAToolkit_INCLUDE_DIRS ${TOOLKIT}/include PARENT_SCOPE)
  elseif(name STREQUAL "CUDNN")
    set(CUDNN_FOUND TRUE PARENT_SCOPE)
  endif()
endfunction()
set(SIMCLR_NCCL OFF)
set(CMAKE_SYSTEM_PREFIX_PATH "")  # what is installed here
include(${SIMCLR}/cmake/SimclrCuda.cmake)
message(STATUS "headers=${SIMCLR_CUDA_HEADERS}")
if(TARGET CUDA::cublas)
  get_target_property(place CUDA::cublas IMPORTED_LOCATION)
  message(STATUS "cublas=${place}")
endif()
"""


@unittest.skipUnless(shutil.which("cmake") and pathlib.Path("/usr/include/catch2/catch.hpp").exists(),
                     "needs CMake and Catch2 2")
class BundleDeps(unittest.TestCase):
    def test_packages_are_found_in_the_bundle(self):
        with tempfile.TemporaryDirectory() as folder:
            bundle = pathlib.Path(folder) / "bundle"
            command = [sys.executable, ROOT / "scripts" / "bundle_deps", "--out", bundle]
            subprocess.run(command, check=True, capture_output=True)
            subprocess.run(command, check=True, capture_output=True)  # anew
            project = pathlib.Path(folder) / "project"
            project.mkdir()
            (project / "CMakeLists.txt").write_text(
                "cmake_minimum_required(VERSION 3.25)\nproject(toy LANGUAGES CXX)\n"
                "find_package(Eigen3 3.4 REQUIRED NO_MODULE)\nfind_package(nlohmann_json 3 REQUIRED)\n"
                "find_package(CLI11 REQUIRED)\nfind_package(Catch2 REQUIRED)\nfind_path(STB stb/stb_image.h REQUIRED)\n"
                "foreach(target Eigen3::Eigen nlohmann_json::nlohmann_json CLI11::CLI11 Catch2::Catch2)\n"
                "  get_target_property(where ${target} INTERFACE_INCLUDE_DIRECTORIES)\n"
                "  message(STATUS \"${target} in ${where}\")\nendforeach()\nmessage(STATUS \"stb in ${STB}\")\n")
            output = subprocess.run(["cmake", "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={bundle}"],
                                    check=True, capture_output=True, text=True).stdout
            places = [line.split(" in ")[1] for line in output.splitlines() if " in " in line]
            self.assertEqual(len(places), 5, output)
            for place in places:
                self.assertTrue(place.startswith(str(bundle.resolve())), place)

    def test_another_folder_is_left_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "mine").touch()
            result = subprocess.run([sys.executable, ROOT / "scripts" / "bundle_deps", "--out", folder],
                                    capture_output=True, text=True)
            self.assertEqual(result.returncode, 1)
            self.assertTrue((pathlib.Path(folder) / "mine").exists())

    def test_a_toolkit_without_cublas_and_nvtx(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            wheel, bundle, toolkit = folder / "nvidia" / "cu13", folder / "bundle", folder / "toolkit"
            for path in (wheel / "include" / "cublas_v2.h", wheel / "lib" / "libcublas.so.13",
                         bundle / "include" / "nvtx3" / "nvToolsExt.h", toolkit / "include" / "cuda.h"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            (folder / "CMakeLists.txt").write_text(TOOLKIT)

            def configure(prefix, cuda):
                shutil.rmtree(folder / "build", ignore_errors=True)
                result = subprocess.run(["cmake", "-S", folder, "-B", folder / "build", f"-DTOOLKIT={toolkit}",
                                         f"-DSIMCLR={ROOT}", f"-DCMAKE_PREFIX_PATH={prefix}", f"-DSIMCLR_CUDA={cuda}"],
                                        capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
                return result.returncode, result.stdout + result.stderr

            code, output = configure(f"{wheel};{bundle}", "ON")
            self.assertEqual(code, 0, output)
            self.assertIn(f"headers={wheel}/include;{bundle}/include\n", output)
            self.assertIn(f"cublas={wheel}/lib/libcublas.so.13\n", output)
            code, output = configure(wheel, "ON")
            self.assertNotEqual(code, 0)
            self.assertIn("nvtx3/nvToolsExt.h was not found", output)
            code, output = configure(wheel, "AUTO")
            self.assertEqual(code, 0, output)
            self.assertIn("said CUDA: off: nvtx3/nvToolsExt.h was not found", output)
            shutil.rmtree(wheel / "lib")
            code, output = configure(f"{wheel};{bundle}", "AUTO")
            self.assertIn("said CUDA: off: libcublas.so.13 was not found", output)
            for name in ("cublas_v2.h", "nvtx3/nvToolsExt.h"):  # a whole toolkit's own come first
                (toolkit / "include" / name).parent.mkdir(exist_ok=True)
                (toolkit / "include" / name).touch()
            (wheel / "lib").mkdir()
            (wheel / "lib" / "libcublas.so.13").touch()
            code, output = configure(f"{wheel};{bundle}", "ON")
            self.assertIn("headers=\n", output)


@unittest.skipUnless(pathlib.Path("/usr/include/catch2/catch.hpp").exists() and toy_gpu.has_pillow(), "needs Catch2 2 and Pillow")
class Carried(toy_gpu.ToyDay):
    """A day with all that it needs in the folder."""

    def bundle(self, *options, **environment):
        return subprocess.run([sys.executable, ROOT / "scripts" / "bundle_deps", "--out", self.folder / "deps", "--commit",
                               "abc", "--cuda", self.folder, *options], capture_output=True, text=True,
                              env=self.environment | environment)

    def fill(self):
        toy_gpu.make_pictures(self.folder / "pictures.tar.gz")
        result = self.bundle("--programs", self.folder / "carried", "--pictures", self.folder / "pictures.tar.gz")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def test_nothing_is_built(self):
        self.assertRegex(self.fill(), r"\d+ programs of commit abc\n[\d.]+ MB in ")
        code, output, found = self.run_day("gpu_day", BUILD_CODE="2")
        self.assertEqual(code, 0, output)
        others = self.states(found)
        self.assertEqual(others.pop("build"), "not needed")
        self.assertEqual({*others.values()}, {"passed"}, output)
        data = self.folder / "build" / "data" / "cifar-10-batches-bin"
        self.assertIn(f"--data {data}", (self.toys / "trained").read_text())
        train = b"".join((data / f"data_batch_{i}.bin").read_bytes() for i in range(1, 6))
        pictures = sorted(train[i:i + 3073] for i in range(0, len(train), 3073))
        self.assertEqual([picture[0] for picture in pictures], [0, 9, 9])
        self.assertEqual([set(picture[1:]) for picture in pictures], [{0}, {255}, {255}])
        self.assertEqual(((data / "test_batch.bin").read_bytes()), bytes([3]) + bytes([255]) * 3072)

    def test_what_does_not_run_is_built(self):
        self.fill()
        code, output, found = self.run_day("gpu_day", "--only", "unpack,build", "--commit", "def")
        self.assertEqual((code, self.states(found)), (1, {"unpack": "failed", "build": "passed"}), output)
        self.assertIn("of commit abc, the sources of def", output)
        (self.toys / "train_cifar").write_text("#!/bin/sh\necho no libcudnn >&2\nexit 127\n")
        self.fill()
        code, output, found = self.run_day("gpu_day", "--only", "unpack,build")
        self.assertEqual((code, self.states(found)), (1, {"unpack": "failed", "build": "passed"}), output)
        self.assertIn("train_cifar does not run here: no libcudnn", output)

    def test_too_much_or_not_built(self):
        self.fill()
        before = sorted(self.folder.glob("deps/*"))
        for options, said in ((["--most", "1"], "more than 1 (include "), (["--programs", self.folder / "carried"], "does not build"),
                              (["--pictures", self.folder / "none"], "none is no file")):
            result = self.bundle(*options, BUILD_CODE="2")
            self.assertEqual((result.returncode, len(result.stderr.splitlines())), (1, 1), result.stderr)
            self.assertIn(said, result.stderr)
            self.assertEqual(sorted(self.folder.glob("deps/*")), before)


if __name__ == "__main__":
    unittest.main()
