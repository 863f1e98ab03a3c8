"""PyTorch and Transformers on the operations and steps of `limo-native bench`, at their best.

Started by `limo-native bench --against pytorch`. Reads a line of JSON and answers with one, until its input ends:
  {"prepare": {"op" or "step", "direction", "shape", "dtype", "threads"}}   makes the case ready and runs it once
  {"runMs": 100}    runs it for so long, and at least once: {"times": [milliseconds]}
  {"memory": true}  {"peakBytes": most memory of this process, or null}
An answer with "error" says what went wrong. Of each operation this is the fastest way that PyTorch has: results go into tensors
that are there already, attention's keys and values are repeated for its heads beforehand, the optimizer is the fused one.
"""

import json
import os
import sys
import time
import warnings

warnings.filterwarnings("ignore")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
import torch.nn.functional as F
import transformers
from transformers import Qwen2Config, Qwen2ForCausalLM

SIZES = {  # heads, key/value heads, intermediate size; the rest comes with the request
    "S": (4, 2, 704),
    "M": (8, 2, 1408),
    "Q": (14, 2, 4864),
}


def tensor(*shape, dtype, grad=False):
    return (torch.rand(*shape) * 2 - 1).to(dtype).requires_grad_(grad)


def backward_of(output, inputs):
    """A function that runs the backward pass of `output` alone, as often as it is called."""
    gradient = torch.rand_like(output) * 2 - 1
    return lambda: torch.autograd.grad(output, inputs, gradient, retain_graph=True)


def linear(direction, T, K, N, dtype):
    x, dy, w = tensor(T, K, dtype=dtype), tensor(T, N, dtype=dtype), tensor(N, K, dtype=dtype)
    a, b = {"forward": (x, w.t()), "d_x": (dy, w), "d_weight": (dy.t(), x)}[direction]
    out = torch.empty(a.shape[0], b.shape[1], dtype=dtype)
    return lambda: torch.mm(a, b, out=out)


def attention(direction, T, H, K, D, dtype):
    q, k, v = (tensor(1, H, T, D, dtype=dtype, grad=direction == "backward") for _ in range(3))
    run = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return run if direction == "forward" else backward_of(run(), (q, k, v))


def linear_cross_entropy(direction, T, V, C, dtype):
    hidden, weight = tensor(T, C, dtype=dtype, grad=True), (tensor(V, C, dtype=dtype) / 16).requires_grad_()
    labels = torch.randint(0, V, (T,))

    def run():
        loss = F.cross_entropy(F.linear(hidden, weight).float(), labels)
        return torch.autograd.grad(loss, (hidden, weight))

    return run


def embedding(direction, T, V, C, dtype):
    table, ids = tensor(V, C, dtype=dtype, grad=direction == "backward"), torch.randint(0, V, (T,))
    run = lambda: F.embedding(ids, table)
    return run if direction == "forward" else backward_of(run(), (table,))


def rms_norm(direction, T, C, dtype, D=None):
    D = D or C
    grad = direction == "backward"
    x, weight = tensor(T, C // D, D, dtype=dtype, grad=grad), tensor(D, dtype=dtype, grad=grad)
    run = lambda: F.rms_norm(x, (D,), weight, 1e-6)
    return run if direction == "forward" else backward_of(run(), (x, weight))


def head_norm(direction, T, H, D, dtype):
    return rms_norm(direction, T, H * D, dtype, D)


def swiglu(direction, T, F_, dtype):
    grad = direction == "backward"
    gate, up = tensor(T, F_, dtype=dtype, grad=grad), tensor(T, F_, dtype=dtype, grad=grad)
    run = lambda: F.silu(gate) * up
    return run if direction == "forward" else backward_of(run(), (gate, up))


def rope(direction, T, H, D, dtype):
    x, cos, sin = tensor(H, T, D, dtype=dtype), tensor(T, D, dtype=dtype), tensor(T, D, dtype=dtype)
    half = D // 2
    return lambda: x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin


def rotary_table(direction, T, P, dtype):
    positions, frequency = torch.arange(T).float(), 1e6 ** (-torch.arange(P) / P)

    def run():
        angles = torch.outer(positions, frequency)
        return angles.cos(), angles.sin()

    return run


def add(direction, T, C, dtype):
    a, b, out = (tensor(T, C, dtype=dtype) for _ in range(3))
    return lambda: torch.add(a, b, out=out)


def copy(direction, T, C, dtype):
    x, out = tensor(T, C, dtype=dtype), tensor(T, C, dtype=dtype)
    return lambda: out.copy_(x)


def cast(direction, N, dtype):
    x, out = tensor(N, dtype=torch.float32), tensor(N, dtype=torch.bfloat16)
    return lambda: out.copy_(x)


def zero(direction, N, dtype):
    return tensor(N, dtype=torch.float32).zero_


def grad_norm(direction, N, dtype):
    gradients = tensor(N, dtype=torch.float32)
    return lambda: torch.linalg.vector_norm(gradients)


def adamw(direction, N, dtype):
    parameter = torch.nn.Parameter(tensor(N, dtype=torch.float32))
    parameter.grad = tensor(N, dtype=torch.float32)
    optimizer = torch.optim.AdamW([parameter], lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    return optimizer.step


def operation(op, direction, shape, dtype):
    """The forward function has the operation's name; a backward one has it at its start."""
    name = op.split("_backward")[0]
    sizes = {"F_" if letter == "F" else letter: size for letter, size in shape.items()}
    return globals()[name](direction, **sizes, dtype=dtype)


def step(name, shape, half):
    """A step as Transformers' Trainer takes it: bf16 is autocast over float32 weights."""
    heads, key_value_heads, intermediate = SIZES[name]
    config = Qwen2Config(
        vocab_size=shape["V"],
        hidden_size=shape["C"],
        num_hidden_layers=shape["L"],
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        intermediate_size=intermediate,
        max_position_embeddings=32768,
        rope_theta=1e6,
        tie_word_embeddings=True,
        use_cache=False,
    )
    config._attn_implementation = "sdpa"
    model = Qwen2ForCausalLM(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0, fused=True)
    ids = torch.randint(0, shape["V"], (1, shape["T"]))

    def run():
        optimizer.zero_grad(set_to_none=False)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return run


def peak_bytes():
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return None


class Server:
    def __init__(self):
        self.run = None

    def prepare(self, case):
        self.run = None
        torch.set_num_threads(case["threads"])
        half = case["dtype"] == "bf16"
        if "step" in case:
            self.run = step(case["step"], case["shape"], half)
        else:
            dtype = torch.bfloat16 if half else torch.float32
            self.run = operation(case["op"], case["direction"], case["shape"], dtype)
        self.run()
        return {}

    def time(self, milliseconds):
        times, start = [], time.perf_counter()
        while not times or time.perf_counter() - start < milliseconds / 1000:
            before = time.perf_counter()
            self.run()
            times.append((time.perf_counter() - before) * 1000)
        return {"times": times}

    def answer(self, request):
        try:
            if "prepare" in request:
                return self.prepare(request["prepare"])
            if "runMs" in request:
                return self.time(request["runMs"])
            return {"peakBytes": peak_bytes()}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}


def main():
    torch.manual_seed(0)
    print(json.dumps({"version": f"torch {torch.__version__}, transformers {transformers.__version__}"}), flush=True)
    server = Server()
    for line in sys.stdin:
        print(json.dumps(server.answer(json.loads(line))), flush=True)


main()
