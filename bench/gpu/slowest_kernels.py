"""Adds up the durations of Nsight Compute's CSV by kernel: slowest_kernels.py profile.csv"""
import collections
import csv
import re
import sys


def rows(path):
    with open(path, newline="", errors="replace") as file:
        lines = [line for line in file if line.startswith('"')]
    return csv.DictReader(lines)


def main():
    total = collections.Counter()
    calls = collections.Counter()
    units = {"ns": 1e-6, "nsecond": 1e-6, "us": 1e-3, "usecond": 1e-3, "ms": 1, "msecond": 1, "s": 1e3, "second": 1e3}
    for row in rows(sys.argv[1]):
        if row.get("Metric Name") != "gpu__time_duration.sum":
            continue
        # "void limo::cuda::attention_delta_kernel(…)" and templates of it count as attention_delta_kernel.
        name = re.sub(r"[<(].*", "", row["Kernel Name"]).split("::")[-1].split()[-1]
        total[name] += float(row["Metric Value"].replace(",", "")) * units[row["Metric Unit"]]
        calls[name] += 1
    everything = sum(total.values()) or 1
    for name, milliseconds in total.most_common(12):
        print(f"{name} {milliseconds:.2f} ms in {calls[name]} calls, {100 * milliseconds / everything:.1f}%")


main()
