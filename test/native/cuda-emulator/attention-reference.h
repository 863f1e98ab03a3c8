#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "core/tensor.h"

// Attention by its formula (native/ops/attention.h), in double, and once more with a rounding to bfloat16 wherever the kernels have
// one: the error of the second is what is allowed to the kernels, twice.
namespace limo::reference {

inline double from_bf16(Bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline Bf16 round_bf16(double x) {
  const float value = static_cast<float>(x);
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (value != value) return {0x7fc0};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

struct Shape {
  std::vector<int> lengths;
  int heads = 1, kv_heads = 1, head_dim = 64;
  int padding = 0;  // elements between the end of a row and the next one

  int tokens() const {
    int sum = 0;
    for (const int length : lengths) sum += length;
    return sum;
  }
  std::vector<int32_t> cu_seqlens() const {
    std::vector<int32_t> starts{0};
    for (const int length : lengths) starts.push_back(starts.back() + length);
    return starts;
  }
  int row(int row_heads) const { return row_heads * head_dim; }
  int stride(int row_heads) const { return row(row_heads) + padding; }
  double scale() const { return static_cast<float>(1 / std::sqrt(head_dim)); }
};

// Rows of `heads` heads, `stride` elements apart; what lies between the rows is `filler`.
struct Matrix {
  int rows = 0, heads = 0, head_dim = 0, stride = 0;
  std::vector<Bf16> values;

  Matrix(const Shape& shape, int row_heads, Bf16 filler)
      : rows(shape.tokens()),
        heads(row_heads),
        head_dim(shape.head_dim),
        stride(shape.stride(row_heads)),
        values(static_cast<size_t>(rows) * stride, filler) {}
  Bf16& at(int row, int head, int d) { return values[static_cast<size_t>(row) * stride + head * head_dim + d]; }
  double get(int row, int head, int d) const {
    return from_bf16(values[static_cast<size_t>(row) * stride + head * head_dim + d]);
  }
  void randomize(std::mt19937& random, double deviation) {
    std::normal_distribution<double> normal(0, deviation);
    for (int row = 0; row < rows; ++row)
      for (int head = 0; head < heads; ++head)
        for (int d = 0; d < head_dim; ++d) at(row, head, d) = round_bf16(normal(random));
  }
};

struct Doubles {
  int heads = 0, head_dim = 0;
  std::vector<double> values;
  Doubles(int rows, int row_heads, int dim) : heads(row_heads), head_dim(dim), values(static_cast<size_t>(rows) * row_heads * dim) {}
  double& at(int row, int head, int d) { return values[(static_cast<size_t>(row) * heads + head) * head_dim + d]; }
  double at(int row, int head, int d) const { return values[(static_cast<size_t>(row) * heads + head) * head_dim + d]; }
};

struct Inputs {
  Shape shape;
  Matrix q, k, v, d_out;
};

struct Forward {
  Doubles out, lse;  // lse: head_dim 1
};

struct Backward {
  Doubles d_q, d_k, d_v;
};

inline double round_if(bool rounded, double x) { return rounded ? from_bf16(round_bf16(x)) : x; }

// Calls body(first row of the sequence, row in it, query head, key head) for every row and head.
template <class Body>
void for_rows(const Shape& shape, Body body) {
  int first = 0;
  for (const int length : shape.lengths) {
    for (int head = 0; head < shape.heads; ++head)
      for (int row = 0; row < length; ++row) body(first, row, head, head / (shape.heads / shape.kv_heads));
    first += length;
  }
}

inline double dot(const Matrix& a, int a_row, int a_head, const Matrix& b, int b_row, int b_head) {
  double sum = 0;
  for (int d = 0; d < a.head_dim; ++d) sum += a.get(a_row, a_head, d) * b.get(b_row, b_head, d);
  return sum;
}

inline Forward forward(const Inputs& in, bool rounded) {
  const Shape& shape = in.shape;
  Forward result{{shape.tokens(), shape.heads, shape.head_dim}, {shape.tokens(), shape.heads, 1}};
  std::vector<double> p;
  for_rows(shape, [&](int first, int row, int head, int kv_head) {
    p.assign(row + 1, 0);
    double maximum = -INFINITY, sum = 0;
    for (int key = 0; key <= row; ++key) {
      p[key] = dot(in.q, first + row, head, in.k, first + key, kv_head) * shape.scale();
      maximum = std::max(maximum, p[key]);
    }
    for (double& x : p) sum += x = std::exp(x - maximum);
    result.lse.at(first + row, head, 0) = maximum + std::log(sum);
    for (int d = 0; d < shape.head_dim; ++d) {
      double total = 0;
      for (int key = 0; key <= row; ++key) total += round_if(rounded, p[key]) * in.v.get(first + key, kv_head, d);
      result.out.at(first + row, head, d) = round_if(rounded, total / sum);
    }
  });
  return result;
}

// From the same out and lse as the kernels, the second of them in float32.
inline Backward backward(const Inputs& in, const Matrix& out, const std::vector<float>& lse, bool rounded) {
  const Shape& shape = in.shape;
  Backward result{{shape.tokens(), shape.heads, shape.head_dim},
                  {shape.tokens(), shape.kv_heads, shape.head_dim},
                  {shape.tokens(), shape.kv_heads, shape.head_dim}};
  for_rows(shape, [&](int first, int row, int head, int kv_head) {
    const int query = first + row;
    const double delta = dot(in.d_out, query, head, out, query, head);
    for (int key = first; key <= query; ++key) {
      const double score = dot(in.q, query, head, in.k, key, kv_head) * shape.scale();
      const double p = std::exp(score - lse[static_cast<size_t>(query) * shape.heads + head]);
      const double d_s = round_if(rounded, p * (dot(in.d_out, query, head, in.v, key, kv_head) - delta));
      for (int d = 0; d < shape.head_dim; ++d) {
        result.d_v.at(key, kv_head, d) += round_if(rounded, p) * in.d_out.get(query, head, d);
        result.d_k.at(key, kv_head, d) += d_s * in.q.get(query, head, d) * shape.scale();
        result.d_q.at(query, head, d) += d_s * in.k.get(key, kv_head, d) * shape.scale();
      }
    }
  });
  for (Doubles* gradient : {&result.d_q, &result.d_k, &result.d_v})
    for (double& x : gradient->values) x = round_if(rounded, x);
  return result;
}

}  // namespace limo::reference
