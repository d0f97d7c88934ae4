"""scripts/gpu_check and scripts/bundle_deps, with stand-ins for the GPU, the compilers and the programs."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from support import toy_gpu

ROOT = pathlib.Path(__file__).resolve().parent.parent

class GpuCheck(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.toys = self.folder / "toys"
        self.environment = toy_gpu.make(self.folder)

    def check(self, *options, **environment):
        """Runs gpu_check, of the benchmarks batch norm's; returns its exit code, output and record."""
        env = self.environment | environment
        result = subprocess.run([sys.executable, ROOT / "scripts" / "gpu_check", "--build", self.folder / "build", "--out",
                                 self.folder / "out", "--commit", "abc", "--what", "batchnorm", *options],
                                capture_output=True, text=True, env=env, timeout=60)
        records = list((self.folder / "out").glob("*-gpu.json"))
        record = json.loads(records[0].read_text()) if records else None
        if record:
            self.assertTrue(records[0].with_suffix(".md").read_text().startswith("# GPU check, "))
        return result.returncode, result.stdout + result.stderr, record

    def part(self, record, name):
        return next(part for part in record["parts"] if part["name"] == name)

    def verdicts(self, record):  # in their order
        return {part["name"]: part["verdict"] for part in record["parts"]}

    def test_all_parts(self):
        code, output, record = self.check("--data", str(self.folder), "--sanitizer-jobs", "1")
        self.assertEqual(code, 0, output)
        self.assertEqual(self.verdicts(record), dict.fromkeys(
            ("configure", "build", "tests", "sanitizers", "benchmarks", "counters", "training"), "passed"))
        self.assertEqual(record["gpu"]["name"], "NVIDIA Toy")
        self.assertEqual((record["cuda"], record["cudnn"], record["commit"]), ("13.0.88", "9.19.0", "abc"))
        log = (self.folder / "build" / "gpu_check" / "configure.log").read_text()
        self.assertIn("arg -DCMAKE_CUDA_ARCHITECTURES=90\n", log)
        self.assertEqual(self.part(record, "build")["warnings"], 1)
        self.assertEqual(self.compared()[0]["ratio"], 4.0)
        self.assertEqual(self.part(record, "training")["knn"], 0.5)
        self.assertIn("kNN 50.00 %", self.part(record, "training")["note"])
        (counters,) = (self.folder / "out").glob("*-counters-augment.csv")
        self.assertEqual(len(counters.read_text().splitlines()), 4)
        table = counters.with_name(counters.name.replace("augment", "batchnorm")).read_text()
        self.assertEqual((len(table.splitlines()), table.count("Kernel Name")), (13, 1))
        for line in (self.toys / "counted").read_text().splitlines():
            self.assertIn("--clock-control none", line)
        # gemm's kernels are the vendor's; initcheck must see everything that writes, and is too slow for a training.
        ran = (self.toys / "sanitized").read_text().splitlines()
        order = [(line.split()[1], pathlib.Path(line.split()[-1]).name) for line in ran]
        self.assertEqual({name for _, name in order[:8]}, {"device_elementwise", "device_nt_xent", "device_training"})
        self.assertEqual({tool for tool, _ in order[:8]}, {"memcheck", "racecheck"})
        self.assertNotIn(("initcheck", "device_training"), order)
        self.assertEqual(len(ran), 15)  # NT-Xent's twice, also with the kernels that must be asked for
        for line in ran:
            self.assertEqual("--report-api-errors no" in line, "memcheck" in line)
        self.assertFalse([line for line in ran if "device_gemm" in line])
        self.assertEqual([line for line in ran if "kns=simclr" not in line],
                         [line for line in ran if "--tool initcheck" in line])

    def test_warpgroups(self):
        code, output, record = self.check("--skip", "tests,benchmarks,training")
        self.assertEqual(code, 0, output)
        asked = (self.toys / "by_warpgroups").read_text().splitlines()
        self.assertEqual(sorted(asked), sorted([f"{tool} device_nt_xent" for tool in
                                                ("memcheck", "racecheck", "synccheck", "initcheck")] +
                                               ["regex:^nt_xent_sums_sm90", "regex:^nt_xent_weights_sm90"]))
        self.assertEqual(self.part(record, "sanitizers")["runs"]["memcheck"]["device_nt_xent_sm90"]["state"], "passed")
        smi = self.folder / "bin" / "nvidia-smi"
        smi.write_text(smi.read_text().replace(" 9.0,", " 8.0,"))
        (self.toys / "by_warpgroups").unlink()
        code, output, record = self.check("--skip", "tests,benchmarks,training")
        self.assertEqual(code, 0, output)
        self.assertFalse((self.toys / "by_warpgroups").exists())

    def test_without_a_gpu(self):
        (self.folder / "bin" / "nvidia-smi").unlink()
        code, output, record = self.check()
        self.assertEqual((code, record), (1, None))
        self.assertEqual(len(output.splitlines()), 1, output)
        self.assertIn("--only configure,build can run here", output)
        code, output, record = self.check("--only", "configure,build")
        self.assertEqual(code, 0, output)
        self.assertIsNone(record["gpu"])

    def test_a_failed_build_ends_it(self):
        code, _, record = self.check(BUILD_CODE="2")
        self.assertEqual(code, 1)
        self.assertEqual(self.verdicts(record), {"configure": "passed", "build": "failed", "tests": "skipped",
                                                 "sanitizers": "skipped", "benchmarks": "skipped", "counters": "skipped",
                                                 "training": "skipped"})

    def test_failed_and_skipped_tests(self):
        for name, state in (("CTEST_BAD", "failed"), ("CTEST_SKIP", "skipped")):  # with a GPU nothing may be skipped
            code, output, record = self.check("--only", "configure,build,tests", **{name: "1"})
            self.assertEqual(code, 1, output)
            self.assertEqual(self.part(record, "tests")["verdict"], "failed")
            self.assertEqual(self.part(record, "tests")["note"], f"cuda_gemm {state}")
            self.assertEqual(self.part(record, "tests")["tests"]["cuda_elementwise"], {"state": "Passed", "seconds": 0.53})

    def test_sanitizer_errors_and_limits(self):
        code, _, record = self.check("--skip", "benchmarks,counters,training,tests", SANITIZER_BAD="racecheck")
        part = self.part(record, "sanitizers")
        self.assertEqual((code, part["verdict"]), (1, "failed"))
        self.assertEqual(part["runs"]["racecheck"]["device_elementwise"]["state"], "failed")
        self.assertIn("3 errors", part["runs"]["racecheck"]["device_elementwise"]["note"])
        code, _, record = self.check("--only", "sanitizers", "--sanitizer-limit", "5", SANITIZER_HANGS="memcheck")
        self.assertEqual((code, self.part(record, "sanitizers")["verdict"]), (1, "cut off"))
        self.assertEqual(self.part(record, "sanitizers")["runs"]["memcheck"]["device_elementwise"]["state"], "cut off")

    def test_training(self):
        self.check("--only", "configure,build")
        code, _, record = self.check("--only", "training")
        self.assertEqual((code, self.part(record, "training")["verdict"]), (0, "skipped"))
        code, _, record = self.check("--only", "training", "--data", str(self.folder), LOSS="6.0")
        self.assertEqual((code, self.part(record, "training")["verdict"]), (1, "failed"))

    def test_several_runs_make_one_record(self):
        self.check("--only", "configure,build")
        self.check("--only", "training", "--data", str(self.folder))
        _, _, record = self.check("--only", "benchmarks")
        self.assertEqual(list(self.verdicts(record)), ["configure", "build", "benchmarks", "training"])
        self.assertEqual(record["cudnn"], "9.19.0")
        _, _, record = self.check("--only", "benchmarks", "--commit", "def")
        self.assertEqual(list(self.verdicts(record)), ["benchmarks"])

    def test_benchmarks_that_hang_or_lack_time(self):
        self.check("--only", "configure,build")
        code, _, record = self.check("--only", "benchmarks", "--budget", "10")
        part = self.part(record, "benchmarks")
        self.assertEqual((code, part["verdict"]), (1, "cut off"))
        self.assertIn("without batchnorm --views 1024", part["note"])
        code, _, record = self.check("--only", "benchmarks", "--benchmark-limit", "2", PEER_HANGS="1")
        part = self.part(record, "benchmarks")
        self.assertEqual((code, part["verdict"]), (1, "failed"))
        self.assertIn("it ran past 2 s", part["note"])
        code, _, record = self.check("--only", "benchmarks")
        self.assertEqual((code, self.part(record, "benchmarks")["verdict"]), (0, "passed"))
        self.assertEqual(self.compared()[0]["ratio"], 4.0)

    def test_benchmarks_are_judged_by_what_was_asked_for(self):
        self.check("--only", "configure,build")
        _, _, record = self.check("--only", "benchmarks", "--what", "similarity", "--benchmark-limit", "2",
                                  PEER_HANGS="1")
        self.assertEqual(self.part(record, "benchmarks")["verdict"], "failed")
        _, _, record = self.check("--only", "benchmarks", "--what", "optimizer_step", "--budget", "10")
        self.assertEqual(self.part(record, "benchmarks")["verdict"], "cut off")  # and not failed, as similarity is
        _, _, record = self.check("--only", "benchmarks")
        self.assertEqual(self.part(record, "benchmarks")["verdict"], "passed")
        _, _, record = self.check("--only", "benchmarks", "--what", "epoch")
        self.assertEqual((self.part(record, "benchmarks")["verdict"], self.part(record, "benchmarks")["note"]),
                         ("failed", "compare: nothing is left to measure; give --data, or a build with MPI"))

    def compared(self):
        (path,) = (self.folder / "out").glob("*-cuda.json")
        return json.loads(path.read_text())["results"]

    def test_counters_that_may_not_be_read(self):
        self.check("--only", "configure,build")
        code, _, record = self.check("--only", "counters", NCU_FORBIDDEN="1")
        part = self.part(record, "counters")
        self.assertEqual((code, part["verdict"]), (0, "skipped"))
        self.assertIn("ERR_NVGPUCTRPERM", part["note"])

    def test_budget(self):
        code, _, record = self.check("--budget", "1")
        self.assertEqual(code, 1)
        self.assertEqual(record["parts"][0]["verdict"], "cut off")
        self.assertIn("the budget of 1 s was spent", record["parts"][0]["note"])


class Reading(unittest.TestCase):
    """What gpu_check makes of the programs' output."""

    def setUp(self):
        sys.path.insert(0, str(ROOT / "scripts"))
        from gpu import tools
        self.support = tools

    def test_verdicts_of_the_sanitizer(self):
        def verdict(code, output):
            return self.support.sanitizer_verdict(self.support.Result(code, output, 3.0))[0]
        self.assertEqual(verdict(0, "========= ERROR SUMMARY: 0 errors"), "passed")
        self.assertEqual(verdict(99, "========= ERROR SUMMARY: 1 error"), "failed")
        self.assertEqual(verdict(1, "========= ERROR SUMMARY: 0 errors"), "failed")  # the test itself
        self.assertEqual(verdict(0, "========= RACECHECK SUMMARY: 2 hazards displayed (0 errors, 2 warnings)"), "failed")
        self.assertEqual(verdict(1, "========= Error: Device not supported."), "skipped")
        self.assertEqual(verdict(77, "skipped: there is no device"), "skipped")
        self.assertEqual(verdict(None, "anything"), "cut off")

    def test_only_reports_about_our_kernels_count(self):
        def verdict(*places, errors=None):
            text = "========= COMPUTE-SANITIZER\n" + "".join(
                f"========= Invalid __global__ write of size 4 bytes\n=========     at {place}\n"
                "=========         Host Frame: simclr::kernels::conv2d_forward() [0x123] in device_conv2d\n=========\n"
                for place in places) + f"========= ERROR SUMMARY: {errors or len(places)} errors\n"
            return self.support.sanitizer_verdict(self.support.Result(99, text, 3.0))[0]
        vendors, ours = "void cutlass::Kernel<T1>(T1::Params)+0x60", "void simclr::kernels::scale(float*)+0x60 in scale.cu:3"
        self.assertEqual(verdict(vendors, vendors), "passed")
        self.assertEqual(verdict(vendors, ours), "failed")
        self.assertEqual(verdict(vendors, errors=2), "failed")  # the other is not shown
        race = ("========= Error: Race reported between Write access at simclr::scale(float*)+0x80 in scale.cu:25\n"
                "=========     and Read access at simclr::scale(float*)+0xa0 in scale.cu:32 [508 hazards]\n"
                "=========\n========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)\n")
        result = self.support.Result(99, race, 3.0)
        self.assertEqual(self.support.sanitizer_verdict(result)[0], "failed")
        result.output = race.replace("simclr", "cudnn")
        self.assertEqual(self.support.sanitizer_verdict(result)[0], "passed")
        api = ("========= Uninitialized access by a copy\n=========     Host Frame: {} [0x1] in device_toy\n"
               "========= ERROR SUMMARY: 1 error\n")
        for name, state in (("simclr::Tensor::to", "failed"), ("cudnnCreate", "passed")):
            result.output = api.format(name)
            self.assertEqual(self.support.sanitizer_verdict(result)[0], state)


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


if __name__ == "__main__":
    unittest.main()
