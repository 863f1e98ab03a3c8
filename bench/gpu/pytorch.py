"""What PyTorch reaches on the same card, as JSON lines: pytorch.py [copy] [products] [attention] [step:NAME[:recompute]]

Times are medians of CUDA events after warm-up, on random numbers. Attention is causal and counted once: two products forward, five
backward, each of T²/2 scores a head. A step counts 6 FLOP for each parameter and token and causal attention once, 6·L·H·D·T².
"""
import json
import os
import statistics
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

DEVICE = "cuda"
# vocabulary, hidden, layers, heads, key/value heads, feed-forward
QWEN = {"Q": (151936, 896, 24, 14, 2, 4864), "Q1.5": (151936, 1536, 28, 12, 2, 8960)}


def report(**row):
    print(json.dumps({"peer": "pytorch", "version": torch.__version__, "card": torch.cuda.get_device_name(), **row}), flush=True)


def median_ms(body, runs=10, warm_up=3):
    for _ in range(warm_up):
        body()
    times = []
    for _ in range(runs):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        body()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def guarded(row, body):
    """A case that a backend refuses, or that does not fit, is a row that says so."""
    try:
        report(**row, **body())
    except Exception as error:
        report(**row, error=f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}")
    torch.cuda.empty_cache()


def copy():
    x = torch.randn(1 << 29, device=DEVICE)
    y = torch.empty_like(x)
    ms = median_ms(lambda: y.copy_(x))
    return {"medianMs": ms, "gbps": 2 * x.numel() * 4 / ms / 1e6}


def product(m, n, k):
    x = torch.randn(m, k, device=DEVICE, dtype=torch.bfloat16)
    weight = torch.randn(n, k, device=DEVICE, dtype=torch.bfloat16)
    ms = median_ms(lambda: x @ weight.T)
    return {"medianMs": ms, "gflops": 2 * m * n * k / ms / 1e6}


def attention(backend, T, H, K, D):
    def operand(heads):
        return torch.randn(1, heads, T, D, device=DEVICE, dtype=torch.bfloat16, requires_grad=True)

    q, k, v = operand(H), operand(K), operand(K)
    gradient = torch.randn_like(q)
    with sdpa_kernel(backend):
        run = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        forward = median_ms(run)
        out = run()
        backward = median_ms(lambda: torch.autograd.grad(out, (q, k, v), gradient, retain_graph=True))
    product = T * T * H * D
    return {"forwardMs": forward, "backwardMs": backward, "forwardGflops": 2 * product / forward / 1e6, "backwardGflops": 5 * product / backward / 1e6}


def step(name, T, recompute):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    V, C, L, H, K, F_ = QWEN[name]
    config = Qwen2Config(
        vocab_size=V, hidden_size=C, num_hidden_layers=L, num_attention_heads=H, num_key_value_heads=K, intermediate_size=F_,
        max_position_embeddings=32768, rope_theta=1e6, tie_word_embeddings=True, use_cache=False,
    )
    config._attn_implementation = "sdpa"
    torch.cuda.reset_peak_memory_stats()
    with torch.device(DEVICE):
        model = Qwen2ForCausalLM(config).to(torch.float32).train()
    if recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    ids = torch.randint(0, V, (1, T), device=DEVICE)

    def run():
        optimizer.zero_grad(set_to_none=False)
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    ms = median_ms(run, runs=4, warm_up=2)
    parameters = sum(p.numel() for p in model.parameters())
    flops = 6 * parameters * T + 6 * L * C * T * T
    return {"medianMs": ms, "tokensPerSecond": 1000 * T / ms, "gflops": flops / ms / 1e6, "peakBytes": torch.cuda.max_memory_allocated()}


def main(wanted):
    if not torch.cuda.is_available():
        sys.exit("expected a CUDA device for PyTorch but it sees none")
    if "copy" in wanted:
        guarded({"op": "copy"}, copy)
    if "products" in wanted:
        for m, n, k in ((8192, 8192, 8192), (16384, 2048, 1536), (16384, 8960, 1536), (16384, 1536, 8960), (2048, 151936, 1536)):
            guarded({"op": "linear", "direction": "forward", "shape": {"T": m, "K": k, "N": n}}, lambda: product(m, n, k))
    if "attention" in wanted:
        for T in (16384, 32768):
            for H, K, D in ((14, 2, 64), (12, 2, 128)):
                for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):
                    row = {"op": "attention", "backend": backend.name, "shape": {"T": T, "H": H, "K": K, "D": D}}
                    guarded(row, lambda: attention(backend, T, H, K, D))
    for name, recompute in ((word.split(":")[1], word.endswith(":recompute")) for word in wanted if word.startswith("step:")):
        guarded({"step": name, "shape": {"T": 16384}, "recompute": recompute}, lambda: step(name, 16384, recompute))


main(sys.argv[1:] or ["copy", "products", "attention", "step:Q1.5", "step:Q", "step:Q1.5:recompute", "step:Q:recompute"])
