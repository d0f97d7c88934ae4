"""The interpreter of PTX itself: single instructions against what the PTX ISA manual says of them, what it refuses, and
faults planted in the kernels' PTX, each of which the comparison must see.

usage: test_ptx_interpreter.py COMPILE_COMMANDS PTX_FOLDER
"""

import pathlib
import random
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "ptx")]

from support.peers import require  # noqa: E402

require("numpy")

import numpy as np  # noqa: E402
import run_cases  # noqa: E402, F401  (it reads all cases)
from arithmetic import to_bf16  # noqa: E402
from case import CASES, F32, run_case  # noqa: E402
from cases_nt_xent import tiles_case  # noqa: E402
from cases_nt_xent_rows import WEIGHTED, rows_case  # noqa: E402
from compile_ptx import compile_all  # noqa: E402
from launch import Device, Instantiation, Library, i32  # noqa: E402
from nt_xent_forms import Form  # noqa: E402
from parser import PtxError, parse  # noqa: E402

COMMANDS, FOLDER = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])

HEAD = """.version 9.0
.target sm_90a
.address_size 64
.extern .shared .align 128 .b8 dynamic[];
.visible .entry k(.param .u64 k_param_0, .param .u64 k_param_1, .param .u32 k_param_2)
{
  .reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<40>; .reg .f32 %f<40>; .reg .b64 %d<20>; .reg .f64 %g<9>;
  ld.param.u64 %d0, [k_param_0];
  ld.param.u64 %d1, [k_param_1];
  ld.param.u32 %r0, [k_param_2];
  mov.u32 %r1, %tid.x;
"""
STORE = """
  mul.wide.u32 %d2, %r1, 4;
  add.s64 %d3, %d1, %d2;
  st.global.u32 [%d3], %r9;
  ret;
}
"""
LOAD = "mul.wide.u32 %d5, %r1, 4; add.s64 %d6, %d0, %d5; ld.global.u32 %r2, [%d6];\n"


def run_text(text, data, number=0, threads=32, shared=0, out=None, order=None):
    """What kernel k writes: [threads] words, or `out`."""
    library = Library.__new__(Library)
    library.modules, library.instantiations, library.translated = {}, [], {}
    library.add("text", parse(text))
    device = Device(library, order)
    source = device.buffer(np.asarray(data))
    result = device.empty(threads, np.uint32) if out is None else device.buffer(out)
    k = Instantiation("text", "k", "k", "k")
    device.launch(k, 1, threads, source, result, i32(number), shared=shared)
    return result.array()


def words(body, data, **options):
    return run_text(HEAD + LOAD + body + STORE, np.asarray(data, np.uint32), **options)


def of_floats(body, data, **options):
    return words(body, np.asarray(data, np.float32).view(np.uint32), **options)


LANES = np.arange(32, dtype=np.uint32)


class Instructions(unittest.TestCase):
    def test_whole_numbers(self):
        x = np.array([0, 1, 2, 0x80000000, 0xFFFFFFFF, 7, 0x12345678, 100] * 4, np.uint32)
        signed = x.view(np.int32).astype(object)
        cases = {
            "shr.s32 %r9, %r2, 33;": [v >> 31 for v in signed],
            "shr.u32 %r9, %r2, 32;": [0] * 32,
            "shl.b32 %r9, %r2, 31;": [int(v) << 31 for v in x],
            "mul.hi.s32 %r9, %r2, -3;": [v * -3 >> 32 for v in signed],
            "mul.lo.s32 %r9, %r2, %r2;": [v * v for v in signed],
            "div.s32 %r9, %r2, -3;": [int(v / -3) if v >= 0 else -int(v / 3) for v in signed],
            "rem.s32 %r9, %r2, 3;": [v - 3 * int(v / 3) for v in signed],
            "brev.b32 %r9, %r2;": [int(f"{v:032b}"[::-1], 2) for v in x],
            "bfi.b32 %r9, %r2, -1, 8, 4;": [0xFFFFF0FF | (int(v) & 15) << 8 for v in x],
            "popc.b32 %r9, %r2;": [f"{v:b}".count("1") for v in x],
            "clz.b32 %r9, %r2;": [32 - int(v).bit_length() for v in x],
            "prmt.b32 %r9, %r2, 0, 0x0123;": [int.from_bytes(int(v).to_bytes(4, "little"), "big") for v in x],
            "shf.l.wrap.b32 %r9, %r2, %r2, 8;": [int(v) << 8 | int(v) >> 24 for v in x],
            "setp.lt.s32 %p1, %r2, 5; selp.b32 %r9, 1, 0, %p1;": [int(v < 5) for v in signed],
            "setp.lt.u32 %p1, %r2, 5; selp.b32 %r9, 1, 0, %p1;": [int(v < 5) for v in x],
            "mov.b32 {%h1, %h2}, %r2; mov.b32 %r9, {%h2, %h1};": [int(v) << 16 | int(v) >> 16 for v in x],
        }
        for text, want in cases.items():
            with self.subTest(text):
                np.testing.assert_array_equal(words(text, x), np.array([w % 2**32 for w in want], np.uint32))

    def test_floats(self):
        values = np.array([0.5, 1.5, 2.5, -0.5, 3e9, -3e9, np.nan, 1e-40] * 4, np.float32)
        take, give = "mov.b32 %f2, %r2;", "mov.b32 %r9, %f9;"
        np.testing.assert_array_equal(
            of_floats(f"{take} cvt.rni.s32.f32 %r9, %f2;", values).view(np.int32)[:8],
            [0, 2, 2, 0, 2**31 - 1, -(2**31), 0, 0],
        )
        self.assertEqual(of_floats(f"{take} add.ftz.f32 %f9, %f2, 0f00000000; {give}", values)[7], 0)
        self.assertNotEqual(of_floats(f"{take} add.f32 %f9, %f2, 0f00000000; {give}", values)[7], 0)
        one = np.float32(1 + 2**-12)
        fused = of_floats(f"{take} fma.rn.f32 %f9, %f2, %f2, 0fBF800000; {give}", [one] * 32).view(np.float32)
        self.assertEqual(fused[0], np.float32(float(one) ** 2 - 1))
        apart = of_floats(f"{take} mul.rn.f32 %f9, %f2, %f2; sub.f32 %f9, %f9, 0f3F800000; {give}", [one] * 32)
        self.assertNotEqual(apart.view(np.float32)[0], fused[0])
        x = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 1 + 2**-8 + 2**-20] * 8, np.float32)
        bits = of_floats(f"{take} cvt.rn.bf16x2.f32 %r9, %f2, 0f00000000;", x) >> 16
        np.testing.assert_array_equal(bits[:4], [0x3F80, 0x3F82, 0xBF80, 0x3F81])
        nan = of_floats(
            f"{take} setp.ne.f32 %p1, %f2, %f2; setp.neu.f32 %p2, %f2, %f2; selp.b32 %r3, 1, 0, %p1; "
            "selp.b32 %r4, 2, 0, %p2; or.b32 %r9, %r3, %r4;",
            values,
        )
        np.testing.assert_array_equal(nan[:8], [0, 0, 0, 0, 0, 0, 2, 0])

    def test_lanes(self):
        np.testing.assert_array_equal(words("shfl.sync.bfly.b32 %r9, %r2, 5, 31, -1;", LANES), LANES ^ 5)
        down = words("shfl.sync.down.b32 %r9|%p1, %r2, 3, 31, -1; @!%p1 add.s32 %r9, %r9, 100;", LANES)
        np.testing.assert_array_equal(down, np.where(LANES < 29, LANES + 3, LANES + 100))
        # 0x181f: segments of eight lanes
        np.testing.assert_array_equal(words("shfl.sync.idx.b32 %r9, %r2, 2, 0x181f, -1;", LANES), LANES // 8 * 8 + 2)
        ballot = words("setp.gt.u32 %p1, %r2, 29; vote.sync.ballot.b32 %r9, %p1, -1;", LANES)
        np.testing.assert_array_equal(ballot, np.full(32, 0xC0000000, np.uint32))

    def test_divergence(self):
        """Lanes part, loop as often as their number says, and meet before they exchange."""
        text = """mov.u32 %r9, 0;
          mov.u32 %r3, 0;
        $loop: setp.ge.u32 %p1, %r3, %r2; @%p1 bra $end;
          add.s32 %r9, %r9, %r3; add.s32 %r3, %r3, 1; bra.uni $loop;
        $end: shfl.sync.bfly.b32 %r9, %r9, 1, 31, -1;"""
        want = (LANES ^ 1).astype(np.int64)
        for order in (None, random.Random(3)):
            np.testing.assert_array_equal(words(text, LANES, order=order), want * (want - 1) // 2)

    def test_what_is_refused(self):
        cases = {
            "out of bounds": "add.s64 %d6, %d6, 4; ld.global.u32 %r9, [%d6];",
            "not aligned": "add.s64 %d6, %d6, 2; ld.global.u32 %r9, [%d6];",
            "shared memory of": "st.shared.u32 [dynamic+16], %r2; mov.u32 %r9, 0;",
            "wait for ever": "setp.lt.u32 %p1, %r1, 16; @%p1 bra $a; shfl.sync.idx.b32 %r9, %r2, 0, 31, -1; "
            "$a: mov.u32 %r9, 0; bar.warp.sync -1;",
            "one that is not here": "setp.lt.u32 %p1, %r1, 16; @%p1 bra $a; shfl.sync.idx.b32 %r9, %r2, 0, 31, "
            "0xffff0000; $a: mov.u32 %r9, 0;",
            "not understood": "match.any.sync.b32 %r9, %r2, -1;",
            "modifier sat": "mad.hi.sat.s32 %r9, %r2, 3, 4;",
        }
        for message, text in cases.items():
            with self.subTest(message), self.assertRaisesRegex(PtxError, message):
                words(text, LANES, shared=16)


class Asynchronous(unittest.TestCase):
    COPY = """mov.u32 %r3, dynamic; mul.lo.u32 %r4, %r1, 16; add.s32 %r3, %r3, %r4; mul.wide.u32 %d7, %r1, 16;
      add.s64 %d8, %d0, %d7; cp.async.cg.shared.global [%r3], [%d8], 16; cp.async.commit_group; WAIT
      ld.shared.u32 %r9, [%r3+4];"""

    def test_cp_async(self):
        data = np.arange(128, dtype=np.uint32)
        text = HEAD + self.COPY + STORE
        got = run_text(text.replace("WAIT", "cp.async.wait_group 0;"), data, shared=512)
        np.testing.assert_array_equal(got, data[1::4])
        for wait in ("", "cp.async.wait_group 1;"):  # missing, and too short
            got = run_text(text.replace("WAIT", wait), data, shared=512)
            np.testing.assert_array_equal(got, np.full(32, 0xFFFFFFFF, np.uint32))

    BULK = """setp.ne.u32 %p1, %r1, 0; @%p1 bra $made; mbarrier.init.shared::cta.b64 [dynamic], 1;
      $made: bar.sync 0; mov.u32 %r3, dynamic; add.s32 %r4, %r3, 16; @%p1 bra $started;
      mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r3], EXPECT;
      cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r4], [%d0], 128, [%r3];
      $started: WAIT mul.lo.u32 %r5, %r1, 4; add.s32 %r6, %r4, %r5; ld.shared.u32 %r9, [%r6];"""
    WAIT = "$wait: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r3], 0; @!%p2 bra $wait;"

    def bulk(self, expect="128", wait=WAIT):
        text = HEAD + self.BULK.replace("EXPECT", expect).replace("WAIT", wait) + STORE
        return run_text(text, LANES * 7, shared=16 + 128)

    def test_bulk_copies(self):
        np.testing.assert_array_equal(self.bulk(), LANES * 7)
        with self.assertRaisesRegex(PtxError, "ends before its copies"):
            self.bulk(wait="")
        for expect in ("144", "112"):
            with self.assertRaisesRegex(PtxError, "wait for ever"):
                self.bulk(expect=expect)

    def test_tensor_cores(self):
        """mma.sync of one and of the identity, by the manual's figures of who holds what."""
        a = np.arange(256).reshape(16, 16) % 13 - 6.0
        b = np.arange(128).reshape(16, 8) % 7 - 3.0
        lane = np.arange(32)
        group, part = lane // 4, lane % 4
        fragments = [(a, group + 8 * (i % 2), 2 * part + 8 * (i // 2)) for i in range(4)]
        left = [
            to_bf16(m[r, c]).astype(np.uint32) | to_bf16(m[r, c + 1]).astype(np.uint32) << 16 for m, r, c in fragments
        ]
        right = [
            to_bf16(b[2 * part + k, group]).astype(np.uint32)
            | to_bf16(b[2 * part + k + 1, group]).astype(np.uint32) << 16
            for k in (0, 8)
        ]
        loads = "".join(f"ld.global.u32 %r{10 + k}, [%d6+{128 * k}];" for k in range(6))
        text = (
            LOAD + loads + "mov.f32 %f1, 0f3F800000; mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
            "{%f10, %f11, %f12, %f13}, {%r10, %r11, %r12, %r13}, {%r14, %r15}, {%f1, %f1, %f1, %f1}; "
            "mov.b32 %r9, %fN;"
        )
        want = a @ b + 1
        for i in range(4):
            got = run_text(HEAD + text.replace("%fN", f"%f{10 + i}") + STORE, np.concatenate(left + right))
            np.testing.assert_array_equal(got.view(np.float32), want[group + 8 * (i // 2), 2 * part + i % 2])


class Faults(unittest.TestCase):
    """One line of a kernel's PTX changed: the kernel's own case must fail."""

    @classmethod
    def setUpClass(cls):
        compile_all(COMMANDS, FOLDER, FAULTY)

    def planted(self, source, kernel, pattern, instead, case, number=0, order=None):
        """Replaces match `number` of a pattern in one kernel; gives what the case says."""
        library = Library(FOLDER, FAULTY)
        found = library.find(source, *kernel)
        body = library.modules[source].kernels[found.mangled]
        matches = list(re.finditer(pattern, body.body))
        self.assertGreater(len(matches), number, f"{kernel} has no {pattern}")
        at = matches[number]
        body.body = body.body[: at.start()] + at.expand(instead) + body.body[at.end() :]
        return run_case(library, case, order).failures

    def assert_seen(self, *arguments, **options):
        failures = self.planted(*arguments, **options)
        self.assertTrue(failures, f"not seen: {arguments}")
        self.assertFalse([failure for failure in failures if "not understood" in failure or "modifier" in failure])

    def test_nothing_planted(self):
        library = Library(FOLDER, FAULTY)
        for case in ("sums", "softmax", "softmax_rows", "one tile", "one hard tile", "hard rows", "DCLW", "one sm90"):
            self.assertEqual(run_case(library, case).failures, [])
        for case in ("sums", "transpose"):
            self.assertEqual(run_case(library, case, random.Random(5)).failures, [])

    def test_lanes(self):
        self.assert_seen(
            "softmax_xent", ("softmax_rows_kernel<32, float>",), r"shfl\.sync\.bfly", "shfl.sync.idx", "softmax"
        )

    def test_a_dropped_barrier(self):
        """Is seen only where warps go ahead of each other."""
        for source, kernel, case in (
            ("elementwise", "bias_partial_kernel<float>", "sums"),
            ("transpose", "transpose_kernel<float>", "transpose"),
        ):
            with self.subTest(kernel):
                fault = (source, (kernel,), r"bar\.sync\s+0;", "", case)
                self.assertEqual(self.planted(*fault), [])
                self.assertTrue(any(self.planted(*fault, order=random.Random(seed)) for seed in range(3)))

    def test_a_dropped_wait(self):
        self.assert_seen("similarity", ("similarity_kernel",), r"cp\.async\.wait_group 0;", "", "similarity")

    def test_a_wrong_address(self):
        self.assert_seen(
            "softmax_xent",
            ("softmax_backward_kernel<32, float>",),
            r"(st\.global\.f32\s+\[%rd\d+)\]",
            r"\1+4]",
            "softmax",
        )

    def test_a_matrix_not_transposed(self):
        self.assert_seen("nt_xent", ("nt_xent_weights_kernel<64, true, OnePower>",), r"x4\.trans", "x4", "one tile")

    def test_rounding_left_out(self):
        """Two values of W cut instead of rounded to bf16: the upper halves of their words."""
        self.assert_seen(
            "nt_xent",
            ("nt_xent_weights_kernel<64, true, OnePower>",),
            r"cvt\.rn\.bf16x2\.f32 (%r\d+), (%f\d+), (%f\d+);",
            r"prmt.b32 \1, \3, \2, 0x7632;",
            "one tile",
        )

    def test_softmax_of_rows(self):
        """One step of the sum over a warp left out."""
        for kernel in ("softmax_forward_kernel<32, float>", "softmax_gradient_kernel<256, BFloat16>"):
            with self.subTest(kernel):
                pattern, instead = r"(shfl\.sync\.bfly[^;]*;\s*mov\.b64 [^;]*;\s*)add(\.f64)", r"\1max\2"
                self.assert_seen("softmax", (kernel,), pattern, instead, "softmax_rows")

    def test_two_powers(self):
        tile = ("nt_xent_weights_kernel<64, true, TwoPowers>",)
        rows = ("nt_xent_loss_kernel<float, double, NtXentForm, HardTerm<float>",)
        faults = {
            "first power": (tile, r"add(\.f32\s+%f\d+, %f\d+), 0f3F800000;", r"mul\1, 0f3F800000;", "one hard tile"),
            "second": (tile, r"(fma[^;]*;\s*add\.f32\s+%f\d+, %f\d+), %f\d+;", r"\1, 0f00000000;", "one hard tile"),
            "sign": (rows, r"neg(\.f32)", r"mov\1", "hard rows"),
        }
        for name, fault in faults.items():
            with self.subTest(name):
                self.assert_seen("nt_xent", *fault)

    def test_weights_of_positives(self):
        """DCLW's 2 - A p, with another 2."""
        kernel = ("nt_xent_weighted_mean_kernel<double>",)
        self.assert_seen("nt_xent", kernel, "0d4000000000000000", "0d3FF0000000000000", "DCLW")

    def test_hopper(self):
        kernel = ("nt_xent_weights_sm90_kernel<256, true>",)
        faults = {
            "bytes": (r"(mbarrier\.arrive\.expect_tx\.shared::cta\.b64 _, \[%r\d+\]), %r\d+;", r"\1, 16384;"),
            "swizzle": (r"(wgmma\.mma_async\.sync\.aligned\.m64n128k16[^;]*), 1, 1, 1, 1;", r"\1, 1, 1, 1, 0;"),
            "arrival": (r"mbarrier\.arrive\.shared::cta\.b64 _, \[%r\d+\];", ""),
            "products": (r"wgmma\.wait_group\.sync\.aligned 0;", ""),
        }
        for name, (pattern, instead) in faults.items():
            with self.subTest(name):
                self.assert_seen("nt_xent_sm90", kernel, pattern, instead, "one sm90")


FAULTY = ("elementwise", "softmax_xent", "softmax", "transpose", "similarity", "nt_xent", "nt_xent_sm90")
# Of the cases that run more kernels than a fault is in, the part that is needed.
CASES["one tile"] = lambda run: tiles_case(run, "nt_xent", 64, True, 100, 0.01)
CASES["one hard tile"] = lambda run: tiles_case(run, "nt_xent", 64, True, 100, 0.2, hardness=0.5)
CASES["hard rows"] = lambda run: rows_case(run, F32, False, Form(hardness=0.5))
CASES["DCLW"] = lambda run: rows_case(run, F32, False, WEIGHTED)
CASES["one sm90"] = lambda run: tiles_case(run, "nt_xent_sm90", 256, True, 330, 0.1)

if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
