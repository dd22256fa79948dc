"""Steps a second of nanoGPT's CPU configuration in eager PyTorch, to hold `make bench` against.

    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install torch==2.11.0 numpy
    /tmp/peer/bin/python benches/peers/gpt_eager.py [THREADS]

The model, batch and optimizer are those of the benchmark's own run: 4 layers, 4 heads, width 128,
context 64, batch 12, fused AdamW, clipping at 1. Tokens are random, which costs the same as text.
"""

import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

LAYERS, HEADS, WIDTH, CONTEXT, BATCH, VOCABULARY = 4, 4, 128, 64, 12, 96
ROUNDS, STEPS = 9, 40


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_attention = nn.LayerNorm(WIDTH, bias=False)
        self.attention = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.attention_out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.norm_mlp = nn.LayerNorm(WIDTH, bias=False)
        self.mlp_in = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.mlp_out = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x):
        batch, length, width = x.shape
        heads = self.attention(self.norm_attention(x)).view(batch, length, 3, HEADS, width // HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp_out(F.gelu(self.mlp_in(self.norm_mlp(x))))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH, bias=False)

    def forward(self, tokens):
        x = self.blocks(self.tokens(tokens) + self.positions.weight)
        return F.linear(self.norm(x), self.tokens.weight)


def main():
    if len(sys.argv) > 1:
        torch.set_num_threads(int(sys.argv[1]))
    torch.manual_seed(1)
    model = Gpt()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    text = torch.randint(VOCABULARY, (1_000_000,))

    def step():
        starts = torch.randint(len(text) - CONTEXT - 1, (BATCH,)).tolist()
        inputs = torch.stack([text[start : start + CONTEXT] for start in starts])
        targets = torch.stack([text[start + 1 : start + CONTEXT + 1] for start in starts])
        loss = F.cross_entropy(model(inputs).view(-1, VOCABULARY), targets.view(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _ in range(20):
        step()
    rates = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(STEPS):
            step()
        rates.append(STEPS / (time.perf_counter() - begun))
    rate = statistics.median(rates)
    tokens = rate * BATCH * CONTEXT
    print(f"eager PyTorch {torch.__version__}, {torch.get_num_threads()} threads: {rate:.1f} steps/s, {tokens:.0f} tokens/s")


main()
