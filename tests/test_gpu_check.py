"""scripts/gpu_check, with stand-ins for the GPU, the compilers and the programs; and what is read from their output."""
import pathlib
import sys
import unittest

from support import toy_gpu

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scripts"))
from gpu import processes, readers  # noqa: E402

ALL = ("pictures", "build", "tests", "sanitizers", "benchmarks", "counters", "training")


class GpuCheck(toy_gpu.ToyDay):
    def check(self, *options, **environment):
        return self.run_day("gpu_check", "--set", "what=batchnorm", *options, **environment)

    def with_data(self):
        (self.folder / "cifar-10-batches-bin").mkdir()
        (self.folder / "cifar-10-batches-bin" / "test_batch.bin").touch()
        return "--data", str(self.folder)

    def test_all_slots(self):
        code, output, record = self.check(*self.with_data())
        self.assertEqual(code, 0, output)
        self.assertEqual(self.states(record), dict.fromkeys(ALL, "passed") | {"pictures": "not needed"})
        log = (self.folder / "build" / "logs" / "build-configure.log").read_text()
        self.assertIn("arg -DCMAKE_CUDA_ARCHITECTURES=90\n", log)
        self.assertEqual(self.commands(record, "build")["compile"]["warnings"], 1)
        self.assertIn(4.0, {result["ratio"] for result in self.compared()})
        self.assertIn("kNN 50.00 %", self.slot(record, "training")["note"])
        (counters,) = self.out.glob("*-counters.csv")
        table = counters.read_text()
        self.assertEqual((len(table.splitlines()), table.count("Kernel Name")), (1 + 3 * 11, 1))
        for line in (self.toys / "counted").read_text().splitlines():
            self.assertIn("--clock-control none", line)

    def test_sanitizers(self):
        self.build()
        code, output, record = self.check("--only", "sanitizers")
        self.assertEqual(code, 0, output)
        # gemm's kernels are the vendor's; initcheck must see everything that writes, and is too slow for a training.
        ran = (self.toys / "sanitized").read_text().splitlines()
        done = [(line.split()[1], pathlib.Path(line.split()[-1]).name) for line in ran]
        self.assertEqual({tool for tool, _ in done}, {"memcheck", "racecheck", "synccheck", "initcheck"})
        self.assertFalse({name for _, name in done} & {"device_gemm", "device_conv2d"})
        self.assertIn(("racecheck", "device_training"), done)
        self.assertNotIn(("initcheck", "device_training"), done)
        for line in ran:
            self.assertEqual("--report-api-errors no" in line, "memcheck" in line)
        self.assertEqual([line for line in ran if "kns=simclr" not in line],
                         [line for line in ran if "--tool initcheck" in line])
        code, output, record = self.check("--only", "sanitizers", SANITIZER_BAD="racecheck")
        self.assertEqual((code, self.slot(record, "sanitizers")["state"]), (1, "failed"))
        self.assertEqual(self.commands(record, "sanitizers")["memcheck-elementwise"]["state"], "passed")
        self.assertIn("3 errors", self.commands(record, "sanitizers")["racecheck-elementwise"]["note"])
        (self.folder / "bin" / "compute-sanitizer").unlink()
        code, output, record = self.check("--only", "tests,sanitizers")
        self.assertEqual((code, self.slot(record, "sanitizers")["state"]), (0, "missing"), output)

    def test_warpgroups(self):
        self.build()
        code, output, record = self.check("--only", "tests,sanitizers,counters")
        self.assertEqual(code, 0, output)
        asked = (self.toys / "by_warpgroups").read_text().splitlines()
        self.assertEqual(sorted(asked), sorted([f"{tool} device_nt_xent" for tool in
                                                ("memcheck", "racecheck", "synccheck", "initcheck")] +
                                               ["regex:^nt_xent_sums_sm90", "regex:^nt_xent_weights_sm90", "device_nt_xent",
                                                "device_nt_xent_forms"]))
        smi = self.folder / "bin" / "nvidia-smi"
        smi.write_text(smi.read_text().replace(" 9.0,", " 8.0,"))
        (self.toys / "by_warpgroups").unlink()
        code, output, record = self.check("--only", "tests,sanitizers,counters")
        self.assertEqual(code, 0, output)
        self.assertFalse((self.toys / "by_warpgroups").exists())
        self.assertEqual(self.commands(record, "tests")["nt_xent_sm90"]["state"], "not needed")

    def test_without_a_gpu(self):
        (self.folder / "bin" / "nvidia-smi").unlink()
        code, output, record = self.check()
        self.assertEqual((code, record), (1, None))
        self.assertEqual(len(output.splitlines()), 1, output)
        self.assertIn("only --only pictures,build can run here", output)
        code, output, record = self.check("--only", "build")
        self.assertEqual(code, 0, output)
        self.assertIsNone(record["gpu"])

    def test_a_failed_build_ends_it(self):
        code, _, record = self.check(*self.with_data(), BUILD_CODE="2")
        self.assertEqual(code, 1)
        self.assertEqual(self.states(record), dict.fromkeys(ALL, "left out") | {"pictures": "not needed", "build": "failed"})

    def test_benchmarks(self):
        self.build()
        code, output, record = self.check("--only", "benchmarks")
        self.assertEqual((code, self.slot(record, "benchmarks")["state"]), (0, "missing"), output)  # the epoch, for want of data
        more = "--only", "benchmarks", *self.with_data()
        code, _, record = self.check(*more, "--commit", "def", "--set", "limit=2", PEER_HANGS="1")
        self.assertEqual((code, self.slot(record, "benchmarks")["state"]), (1, "failed"))
        self.assertIn("it ran past 2 s", self.commands(record, "benchmarks")["kernels"]["note"])
        code, _, record = self.check(*more, "--commit", "def")
        self.assertEqual((code, self.slot(record, "benchmarks")["state"]), (0, "passed"))
        code, _, record = self.check(*more, "--commit", "ghi", "--scale", "0.01")
        self.assertEqual((code, self.slot(record, "benchmarks")["state"]), (1, "cut off"))
        self.assertIn("without batchnorm --views 1024", self.commands(record, "benchmarks")["kernels"]["note"])

    def test_counters_that_may_not_be_read(self):
        self.build()
        code, output, record = self.check("--only", "tests,counters", NCU_FORBIDDEN="1")
        self.assertEqual((code, self.slot(record, "counters")["state"]), (0, "missing"), output)
        self.assertIn("ERR_NVGPUCTRPERM", self.commands(record, "counters")["augment_kernel"]["note"])


class Reading(unittest.TestCase):
    """What is made of the programs' output."""

    def test_verdicts_of_the_sanitizer(self):
        def verdict(code, output):
            return readers.sanitizer_verdict(processes.Result(code, output, 3.0))[0]
        self.assertEqual(verdict(0, "========= ERROR SUMMARY: 0 errors"), "passed")
        self.assertEqual(verdict(99, "========= ERROR SUMMARY: 1 error"), "failed")
        self.assertEqual(verdict(1, "========= ERROR SUMMARY: 0 errors"), "failed")  # the test itself
        self.assertEqual(verdict(0, "========= RACECHECK SUMMARY: 2 hazards displayed (0 errors, 2 warnings)"), "failed")
        self.assertEqual(verdict(1, "========= Error: Device not supported."), "missing")
        self.assertEqual(verdict(77, "skipped: there is no device"), "failed")
        self.assertEqual(verdict(None, "anything"), "cut off")

    def test_only_reports_about_our_kernels_count(self):
        def verdict(*places, errors=None):
            text = "========= COMPUTE-SANITIZER\n" + "".join(
                f"========= Invalid __global__ write of size 4 bytes\n=========     at {place}\n"
                "=========         Host Frame: simclr::kernels::conv2d_forward() [0x123] in device_conv2d\n=========\n"
                for place in places) + f"========= ERROR SUMMARY: {errors or len(places)} errors\n"
            return readers.sanitizer_verdict(processes.Result(99, text, 3.0))[0]
        vendors, ours = "void cutlass::Kernel<T1>(T1::Params)+0x60", "void simclr::kernels::scale(float*)+0x60 in scale.cu:3"
        self.assertEqual(verdict(vendors, vendors), "passed")
        self.assertEqual(verdict(vendors, ours), "failed")
        self.assertEqual(verdict(vendors, errors=2), "failed")  # the other is not shown
        race = ("========= Error: Race reported between Write access at simclr::scale(float*)+0x80 in scale.cu:25\n"
                "=========     and Read access at simclr::scale(float*)+0xa0 in scale.cu:32 [508 hazards]\n"
                "=========\n========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)\n")
        result = processes.Result(99, race, 3.0)
        self.assertEqual(readers.sanitizer_verdict(result)[0], "failed")
        result.output = race.replace("simclr", "cudnn")
        self.assertEqual(readers.sanitizer_verdict(result)[0], "passed")
        api = ("========= Uninitialized access by a copy\n=========     Host Frame: {} [0x1] in device_toy\n"
               "========= ERROR SUMMARY: 1 error\n")
        for name, state in (("simclr::Tensor::to", "failed"), ("cudnnCreate", "passed")):
            result.output = api.format(name)
            self.assertEqual(readers.sanitizer_verdict(result)[0], state)

if __name__ == "__main__":
    unittest.main()
