"""Adds up the durations of Nsight Compute's CSV by kernel: slowest_kernels.py profile.csv"""
import collections
import csv
import re
import sys


def rows(path):
    with open(path, newline="", errors="replace") as file:
        lines = [line for line in file if line.startswith('"')]
    return csv.DictReader(lines)


def name_of(signature):
    """"void limo::cuda::sm90::attention_forward_kernel<128>(…)" is attention_forward_kernel, for_each_kernel goes by its body."""
    signature = re.sub(r"\(anonymous namespace\)::|<unnamed>::|^void ", "", signature)
    body = re.match(r"(?:\w+::)*for_each_kernel<(?:struct |class )?(?:\w+::)*(\w+)", signature)
    if body:
        return body.group(1)
    return re.sub(r"[<(].*", "", signature).split("::")[-1].strip() or signature


def main():
    total = collections.Counter()
    calls = collections.Counter()
    units = {"ns": 1e-6, "nsecond": 1e-6, "us": 1e-3, "usecond": 1e-3, "ms": 1, "msecond": 1, "s": 1e3, "second": 1e3}
    for row in rows(sys.argv[1]):
        if row.get("Metric Name") != "gpu__time_duration.sum":
            continue
        name = name_of(row["Kernel Name"])
        total[name] += float(row["Metric Value"].replace(",", "")) * units[row["Metric Unit"]]
        calls[name] += 1
    everything = sum(total.values()) or 1
    for name, milliseconds in total.most_common(12):
        print(f"{name} {milliseconds:.2f} ms in {calls[name]} calls, {100 * milliseconds / everything:.1f}%")


main()
