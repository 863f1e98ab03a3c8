#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "core/error.h"
#include "cuda/attention_sm80.h"

// The kernels of attention against the formulas of ops/attention.h in double, on the emulator. Rows are views with strides,
// outputs are NaN before the call, and what lies between rows must stay as it was.
namespace {

using limo::Bf16;
using namespace limo::cuda;

struct Case {
  std::vector<int> lengths;
  int heads, kv_heads, head_dim;
  int spare;       // elements between rows
  int offset = 0;  // elements before the first
  float size = 1;  // of the values
};

constexpr float kCanary = 77;

template <class T>
double number(T value) {
  if constexpr (sizeof(T) == 2) return to_float(value);
  else return value;
}

template <class T>
T rounded(double value) {
  if constexpr (sizeof(T) == 2) return to_bf16(static_cast<float>(value));
  else return static_cast<float>(value);
}

// Unit roundoff of what is stored and of what products are rounded to; float32 is given what a long sum loses.
template <class T>
constexpr double kRoundoff = sizeof(T) == 2 ? 0x1p-8 : 0x1p-24;
constexpr double kFloat = 0x1p-24;

// [rows, columns] with a stride, on the device and as double.
template <class T>
struct Matrix {
  int rows, columns, stride, offset;
  std::vector<T> host;
  T* device = nullptr;

  Matrix(int rows, int columns, int spare, int offset)
      : rows(rows), columns(columns), stride(columns + spare), offset(offset), host(offset + rows * stride, rounded<T>(kCanary)) {}
  T* data() const { return device + offset; }
  T& at(int row, int column) { return host[offset + row * stride + column]; }
  double value(int row, int column) const { return number(host[offset + row * stride + column]); }
  size_t bytes() const { return host.size() * sizeof(T); }
  void fill_normal(std::mt19937& random, float size) {
    std::normal_distribution<float> normal(0, size);
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; ++c) at(r, c) = rounded<T>(normal(random));
    }
  }
  void upload() {
    if (!device) check_cuda(cudaMalloc(reinterpret_cast<void**>(&device), bytes()), "an allocation");
    check_cuda(cudaMemcpy(device, host.data(), bytes(), cudaMemcpyHostToDevice), "a copy");
  }
  void prepare_output() {
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; ++c) std::memset(&at(r, c), 0xff, sizeof(T));
    }
    upload();
  }
  void download() { check_cuda(cudaMemcpy(host.data(), device, bytes(), cudaMemcpyDeviceToHost), "a copy"); }
  bool canaries_stand() {
    for (int i = 0; i < static_cast<int>(host.size()); ++i) {
      const int column = (i - offset) % stride;
      if ((i < offset || column >= columns) && number(host[i]) != kCanary) return false;
    }
    return true;
  }
};

struct Expected {
  std::vector<double> values, bounds;
  explicit Expected(int count) : values(count), bounds(count) {}
  void add(int i, double value, double bound) {
    values[i] += value;
    bounds[i] += bound;
  }
};

template <class T>
bool agrees(const char* name, Matrix<T>& actual, const Expected& expected, double stored_roundoff) {
  actual.download();
  double worst = 0;
  for (int r = 0; r < actual.rows; ++r) {
    for (int c = 0; c < actual.columns; ++c) {
      const int i = r * actual.columns + c;
      const double error = std::fabs(actual.value(r, c) - expected.values[i]);
      const double ratio = error / (expected.bounds[i] + stored_roundoff * std::fabs(expected.values[i]) + 1e-30);
      if (!(ratio <= 1)) {
        std::printf("%s[%d, %d]: expected %g ± %g but received %g\n", name, r, c, expected.values[i], expected.bounds[i],
                    actual.value(r, c));
        return false;
      }
      worst = std::max(worst, ratio);
    }
  }
  if (!actual.canaries_stand()) return std::printf("%s: written outside of its rows\n", name), false;
  std::printf("  %s %.2f", name, worst);
  return true;
}

Block* upload_blocks(const std::vector<Block>& blocks) {
  Block* device;
  check_cuda(cudaMalloc(reinterpret_cast<void**>(&device), blocks.size() * sizeof(Block)), "an allocation");
  check_cuda(cudaMemcpy(device, blocks.data(), blocks.size() * sizeof(Block), cudaMemcpyHostToDevice), "a copy");
  return device;
}

template <class T>
bool run(const char* name, const Case& c, bool generic) {
  std::printf("%s: %d heads of %d on %d\n", name, c.heads, c.head_dim, c.kv_heads);
  std::vector<int32_t> bounds = {0};
  for (const int length : c.lengths) bounds.push_back(bounds.back() + length);
  const int tokens = bounds.back(), group = c.heads / c.kv_heads, d = c.head_dim;
  const double scale = 1 / std::sqrt(static_cast<double>(d));
  std::mt19937 random(7);
  Matrix<T> q(tokens, c.heads * d, c.spare, c.offset), k(tokens, c.kv_heads * d, c.spare, c.offset), v(k), out(q), d_out(q), d_q(q), d_k(k),
      d_v(k);
  Matrix<float> lse(tokens, c.heads, 1, 0), delta(tokens, c.heads, 2, 0);
  for (auto* given : {&q, &k, &v, &d_out}) {
    given->fill_normal(random, given == &q || given == &k ? c.size : 1);
    given->upload();
  }
  for (auto* written : {&out, &d_q, &d_k, &d_v}) written->prepare_output();
  lse.prepare_output();
  delta.prepare_output();

  const auto blocks = [&](int rows, BlockRows of) { return list_blocks(bounds.data(), static_cast<int64_t>(bounds.size()), rows, of); };
  const auto queries = blocks(generic ? kGenericRows : kSm80ForwardRows, BlockRows::kQueries);
  const AttentionArguments<T> forward = {out.data(),
                                         lse.data(),
                                         q.data(),
                                         k.data(),
                                         v.data(),
                                         out.stride,
                                         lse.stride,
                                         q.stride,
                                         k.stride,
                                         v.stride,
                                         c.heads,
                                         c.kv_heads,
                                         d,
                                         static_cast<float>(scale),
                                         upload_blocks(queries),
                                         static_cast<int>(queries.size())};
  if (generic) attention_forward_generic(forward, nullptr);
  else if constexpr (sizeof(T) == 2) attention_forward_sm80(forward, nullptr);

  const double u = sizeof(T) == 2 && !generic ? kRoundoff<Bf16> : 0;
  Expected e_out(tokens * c.heads * d), e_lse(tokens * c.heads);
  const auto each_row = [&](const auto& body) {
    for (size_t s = 0; s < c.lengths.size(); ++s) {
      for (int row = bounds[s]; row < bounds[s + 1]; ++row) {
        for (int h = 0; h < c.heads; ++h) body(bounds[s], row, h, h / group * d);
      }
    }
  };
  const auto dot = [&](const Matrix<T>& a, int a_row, int a_column, const Matrix<T>& b, int b_row, int b_column, double* size = nullptr) {
    double sum = 0;
    for (int i = 0; i < d; ++i) {
      sum += a.value(a_row, a_column + i) * b.value(b_row, b_column + i);
      if (size) *size += std::fabs(a.value(a_row, a_column + i) * b.value(b_row, b_column + i));
    }
    return sum;
  };
  each_row([&](int start, int row, int h, int kv) {
    std::vector<double> scores;
    double maximum = -INFINITY, total = 0, score_error = 0;
    for (int u = start; u <= row; ++u) {
      double size = 0;
      scores.push_back(dot(q, row, h * d, k, u, kv, &size) * scale);
      maximum = std::max(maximum, scores.back());
      score_error = std::max(score_error, (d + 8) * kFloat * size * scale);
    }
    for (const double score : scores) total += std::exp(score - maximum);
    const double log_sum = maximum + std::log(total), roundings = (row - start + 40) * kFloat;
    e_lse.add(row * c.heads + h, log_sum, score_error + roundings + 4 * kFloat * std::fabs(log_sum));
    for (int j = 0; j <= row - start; ++j) {
      const double p = std::exp(scores[j] - log_sum),
                   relative = 2 * score_error + roundings + 4 * kFloat * std::fabs(scores[j] - maximum) + u;
      for (int i = 0; i < d; ++i) {
        const double term = p * v.value(start + j, kv + i);
        e_out.add((row * c.heads + h) * d + i, term, std::fabs(term) * relative + 1e-37);
      }
    }
  });
  bool right = agrees("out", out, e_out, kRoundoff<T>) && agrees("lse", lse, e_lse, 0);

  const auto query_blocks = blocks(generic ? kGenericRows : kSm80BackwardRows, BlockRows::kQueries);
  const auto key_blocks = blocks(generic ? kGenericRows : kSm80BackwardRows, BlockRows::kKeys);
  const AttentionBackwardArguments<T> backward = {d_q.data(),
                                                  d_k.data(),
                                                  d_v.data(),
                                                  delta.data(),
                                                  d_out.data(),
                                                  out.data(),
                                                  lse.data(),
                                                  q.data(),
                                                  k.data(),
                                                  v.data(),
                                                  d_q.stride,
                                                  d_k.stride,
                                                  d_v.stride,
                                                  delta.stride,
                                                  d_out.stride,
                                                  out.stride,
                                                  lse.stride,
                                                  q.stride,
                                                  k.stride,
                                                  v.stride,
                                                  tokens,
                                                  c.heads,
                                                  c.kv_heads,
                                                  d,
                                                  static_cast<float>(scale),
                                                  upload_blocks(query_blocks),
                                                  upload_blocks(key_blocks),
                                                  static_cast<int>(query_blocks.size()),
                                                  static_cast<int>(key_blocks.size())};
  if (generic) attention_backward_generic(backward, nullptr);
  else if constexpr (sizeof(T) == 2) attention_backward_sm80(backward, nullptr);

  Expected e_d_q(tokens * c.heads * d), e_d_k(tokens * c.kv_heads * d), e_d_v(tokens * c.kv_heads * d);
  each_row([&](int start, int row, int h, int kv) {
    double delta_size = 0;
    const double delta_value = dot(d_out, row, h * d, out, row, h * d, &delta_size);
    const double lse_value = lse.value(row, h);
    for (int key = start; key <= row; ++key) {
      double score_size = 0, d_p_size = 0;
      const double score = dot(q, row, h * d, k, key, kv, &score_size) * scale, d_p = dot(d_out, row, h * d, v, key, kv, &d_p_size);
      const double p = std::exp(score - lse_value), d_s = p * (d_p - delta_value) * scale;
      const double relative = (d + 8) * kFloat * score_size * scale + 4 * kFloat * (std::fabs(score) + std::fabs(lse_value)) + 8 * kFloat;
      const double sum = (2 * tokens * group + 8) * kFloat;
      const double d_s_error = std::fabs(d_s) * (relative + u + sum) + scale * p * (d + 8) * kFloat * (d_p_size + delta_size);
      for (int i = 0; i < d; ++i) {
        const double q_i = q.value(row, h * d + i), k_i = k.value(key, kv + i), g = d_out.value(row, h * d + i);
        e_d_v.add((key * c.kv_heads * d) + kv + i, p * g, p * std::fabs(g) * (relative + u + sum) + 1e-37);
        e_d_q.add((row * c.heads + h) * d + i, d_s * k_i, d_s_error * std::fabs(k_i) + 1e-37);
        e_d_k.add((key * c.kv_heads * d) + kv + i, d_s * q_i, d_s_error * std::fabs(q_i) + 1e-37);
      }
    }
  });
  right = right && agrees("d_q", d_q, e_d_q, kRoundoff<T>) && agrees("d_k", d_k, e_d_k, kRoundoff<T>) &&
          agrees("d_v", d_v, e_d_v, kRoundoff<T>);
  std::printf("\n");
  return right && delta.canaries_stand();
}

}  // namespace

int main() {
  const Case cases[] = {
      {{1}, 1, 1, 1, 0},
      {{1, 1, 1}, 4, 2, 8, 0},
      {{1, 63, 64, 65, 127, 128, 129, 200}, 4, 2, 64, 64},
      {{5, 73, 30}, 3, 3, 5, 1},
      {{100, 7}, 4, 2, 33, 11, 1},
      {{130, 77}, 6, 1, 128, 0},
      {{5, 140, 30}, 4, 2, 96, 13},
      {{70, 150}, 2, 1, 72, 8, 8},
      {{70, 150}, 2, 1, 16, 0, 0, 8},
  };
  bool right = true;
  try {
    for (const Case& c : cases) {
      right = run<Bf16>("sm_80, bfloat16", c, false) && right;
      right = run<float>("generic, float32", c, true) && right;
    }
    right = run<Bf16>("generic, bfloat16", {{66, 5}, 4, 2, 300, 1}, true) && right;
    right = run<Bf16>("generic, bfloat16", {{40}, 2, 1, 512, 512}, true) && right;
  } catch (const limo::Error& error) {
    std::printf("%s\n", error.what());
    right = false;
  }
  std::printf("%s\n", right ? "all right" : "wrong");
  return right ? 0 : 1;
}
