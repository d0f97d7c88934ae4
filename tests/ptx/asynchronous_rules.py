"""What the asynchronous instructions become (instructions.py has the others)."""

from instructions import address_of, registers
from parser import PtxError


def copy(t, ins):
    opcode = ".".join(ins.kinds)
    if opcode == "async.cg.shared.global" and ins.operands[2:] == ("16",):
        to, plus = address_of(t, ins.operands[0], "shared")
        source, offset = address_of(t, ins.operands[1], "global")
        t.do(f"M.copy_async({to}, {plus}, {source}, {offset}, MASK)")
    elif opcode == "async.commit_group":
        t.do("M.commit_copies(MASK)")
    elif opcode == "async.wait_group":
        t.do(f"M.wait_copies({int(ins.operands[0])}, MASK)")
    elif opcode == "async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes":
        (to, a), (source, b) = (address_of(t, word, space) for word, space in zip(ins.operands, ("shared", "global")))
        barrier, c = address_of(t, ins.operands[3], "shared")
        if a or b or c:
            raise PtxError(ins.text)
        t.do(f"M.copy_bulk({to}, {source}, {t.get(ins.operands[2], 'u32')}, {barrier}, MASK)")
    else:
        raise PtxError(f"instruction not understood: {ins.text}")


def barrier(t, ins):
    opcode = ".".join(ins.kinds)
    if opcode == "init.shared::cta.b64":
        place, plus = address_of(t, ins.operands[0], "shared")
        t.do(f"M.barrier_init({place}, {plus}, {t.get(ins.operands[1], 'u32')}, MASK)")
    elif opcode in ("arrive.shared::cta.b64", "arrive.expect_tx.shared::cta.b64") and ins.operands[0] == "_":
        place, plus = address_of(t, ins.operands[1], "shared")
        expected = t.get(ins.operands[2] if "expect_tx" in ins.kinds else "0", "u32")
        t.do(f"M.barrier_arrive({place}, {plus}, {expected}, MASK)")
    elif opcode == "try_wait.parity.shared::cta.b64":
        t.put(ins.operands[0], t.get("1", "pred"), "pred")  # threads come here when their phase has ended
    else:
        raise PtxError(f"instruction not understood: {ins.text}")


def product(t, ins):
    opcode = ".".join(ins.kinds)
    if opcode == "fence.sync.aligned":
        return
    if opcode == "commit_group.sync.aligned":
        t.do("M.commit_products(m)")
    elif opcode == "wait_group.sync.aligned":
        t.do(f"M.wait_products({int(ins.operands[0])}, m)")
    elif opcode in (
        "mma_async.sync.aligned.m64n64k16.f32.bf16.bf16",
        "mma_async.sync.aligned.m64n128k16.f32.bf16.bf16",
    ):
        d = [t.slots[name.strip()] for name in ins.operands[0].strip("{}").split(",")]
        in_registers = ins.operands[1].startswith("{")
        left = registers(t, ins.operands[1], "b32") if in_registers else t.get(ins.operands[1], "b64")
        signs = ins.operands[4:6]
        transposed = ins.operands[6:] if in_registers else ins.operands[7:]
        columns = 64 if "m64n64k16" in ins.kinds else 128
        if signs != ("1", "1") or len(d) != columns // 2 or (not in_registers and ins.operands[6] != "0"):
            raise PtxError(ins.text)
        t.do(
            f"M.start_product({tuple(d)}, {left}, {t.get(ins.operands[2], 'b64')}, {t.get(ins.operands[3], 'pred')}, "
            f"{transposed == ('1',)}, m)"
        )
    else:
        raise PtxError(f"instruction not understood: {ins.text}")


def nothing(t, ins):
    """Fences, and registers that warpgroups give each other: all memory is seen in order here."""


def atomic(t, ins):
    if ins.kinds != ("global", "inc", "u32"):
        raise PtxError(f"instruction not understood: {ins.text}")
    place, plus = address_of(t, ins.operands[1], "global")
    t.do(f"V = M.increment({place}, {plus}, {t.get(ins.operands[2], 'u32')}, MASK)")
    t.put(ins.operands[0], "V", "u32")


RULES = {
    "atom": atomic,
    "cp": copy,
    "mbarrier": barrier,
    "wgmma": product,
    "fence": nothing,
    "membar": nothing,
    "setmaxnreg": nothing,
}
