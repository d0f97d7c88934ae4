#!/usr/bin/env python3
"""Times the training step of benchmarks/bench_text_step in PyTorch and prints one JSON line.

The same model, batch and optimizer: embeddings with dropout, bidirectional GRU or transformer, mean and maximum over a
text's own tokens, head, NT-Xent and AdamW. Where texts have lengths, a GRU takes PyTorch's packed sequences; a
transformer takes the batch padded to its longest text with a mask, or the texts' own tokens alone but for attention, as
libsimclr does, on a GPU too. Compiled code is made for the lengths of this one batch; torch.compile leaves a GRU as it
is, and compiles what is around it. The fastest counts. In f32 on every device, as libsimclr's encoder, without TF32.

Three things favour PyTorch: its batch is padded to the longest text on a GPU, too, where libsimclr pads to the longest
that there may be; it is cut so before the step, where libsimclr does it within; and its texts are sorted by their
lengths, so that packing moves none. Needs torch.
"""
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import steps
from kernels import attend

STEP = 8  # texts are padded to the longest, rounded up to a multiple of this, as libsimclr does on a CPU


class Batch:
    """What a batch's lengths give before the step: the same each time, and so not part of it. The longest text comes
    first, so that packing moves none; which text is which does not matter, as all are random."""

    def __init__(self, lengths, longest, device):
        lengths = sorted(lengths, reverse=True)
        self.longest = min(-(-max(lengths) // STEP) * STEP, longest)
        self.lengths = torch.tensor(lengths)
        self.full = min(lengths) == self.longest
        self.own = (torch.arange(self.longest)[None, :] < self.lengths[:, None]).to(device)
        self.rows = self.own.flatten().nonzero()[:, 0]  # of the tokens that are a text's own
        self.counts = self.lengths[:, None].float().to(device)

    def pool(self, y):
        """Mean and maximum over a text's own tokens."""
        if self.full:
            return torch.cat([y.mean(1), y.amax(1)], 1)
        own = self.own[:, :, None]
        return torch.cat([(y * own).sum(1) / self.counts, y.masked_fill(~own, float("-inf")).amax(1)], 1)

    def pad(self, rows):
        """[N,T,C] of the own tokens' [R,C]."""
        whole = rows.new_zeros(self.own.numel(), rows.shape[1]).index_copy(0, self.rows, rows)
        return whole.view(*self.own.shape, rows.shape[1])


class Gru(nn.Module):
    def __init__(self, setup, batch):
        super().__init__()
        width = setup["width"]
        self.batch = batch
        self.gru = nn.GRU(width, width // 2, setup["layers"], batch_first=True, bidirectional=True)

    def forward(self, x):
        if self.batch.full:
            return self.gru(x)[0]
        packed = pack_padded_sequence(x, self.batch.lengths, batch_first=True)
        return pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=x.shape[1])[0]


class Layer(nn.Module):
    """Pre-norm, with dropout of each branch."""

    def __init__(self, setup):
        super().__init__()
        width = setup["width"]
        self.heads, self.p = setup["heads"], setup["dropout"]
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.inner, self.outer = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.linear1, self.linear2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, batch, packed):
        qkv = self.inner(self.norm1(x))
        mask = None if batch.full else batch.own[:, None, None, :]
        y = attend(batch.pad(qkv) if packed else qkv, self.heads, mask)
        x = x + F.dropout(self.outer(y.flatten(0, 1)[batch.rows] if packed else y), self.p)
        return x + F.dropout(self.linear2(F.gelu(self.linear1(self.norm2(x)))), self.p)


class Transformer(nn.Module):
    def __init__(self, setup, batch, packed):
        super().__init__()
        self.batch, self.packed = batch, packed
        self.positions = nn.Parameter(0.02 * torch.randn(setup["longest"], setup["width"]))
        self.layers = nn.ModuleList(Layer(setup) for _ in range(setup["layers"]))
        self.norm = nn.LayerNorm(setup["width"])

    def forward(self, x):
        x = x + self.positions[:x.shape[1]]
        if self.packed:
            x = x.flatten(0, 1)[self.batch.rows]
        for layer in self.layers:
            x = layer(x, self.batch, self.packed)
        x = self.norm(x)
        return self.batch.pad(x) if self.packed else x


class Encoder(nn.Module):
    def __init__(self, setup, batch, packed):
        super().__init__()
        self.batch, self.p = batch, setup["dropout"]
        self.embedding = nn.Embedding(setup["entries"], setup["width"])
        self.network = Gru(setup, batch) if setup["arch"] == "gru" else Transformer(setup, batch, packed)

    def forward(self, ids):
        return self.batch.pool(self.network(F.dropout(self.embedding(ids), self.p)))


def main():
    args = steps.parser(__doc__).parse_args()
    args.dtype = args.dtype or "f32"  # as libsimclr's encoder of tokens
    setup, lengths = args.setup, args.setup["lengths"]
    batch = Batch(lengths, setup["longest"], args.device)

    def make_step(packed, compile_mode):
        head = steps.head(2 * setup["width"], setup["head_hidden"], setup["head_out"], batchnorm=True)
        model = nn.Sequential(Encoder(setup, batch, packed), head).to(args.device)
        ids = (torch.rand(len(lengths), batch.longest, device=args.device).square() * setup["entries"]).long()
        optimizer = steps.make_optimizer(model, args.device, "adamw", weight_decay=setup["weight_decay"])
        return steps.training_step(args, model, optimizer, [ids], setup["temperature"], compile_mode)

    forms = {"padded": False}
    if setup["arch"] == "transformer" and not batch.full:
        forms["packed"] = True
    steps.report(args, "text_step", len(lengths), steps.ways(args.device, forms), make_step)


if __name__ == "__main__":
    main()
