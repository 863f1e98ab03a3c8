// The attention kernels for sm_90a, run by the emulator, against their formula in double.
#include <cstdio>
#include <string>

#include "attention-faults.h"
#include "attention-reference.h"
#include "core/error.h"
#include "cuda/attention/sm90.h"

namespace {

using limo::Bf16;
using limo::cuda::Block;
using limo::cuda::BlockRows;
using namespace limo::reference;

constexpr Bf16 kNan{0x7fc0}, kInfinity{0x7f80}, kCanary{0x1234};

constexpr int kMultiprocessors = 3;  // so few that a thread block gets several tiles

int failures = 0;

void expect(bool holds, const std::string& place, const std::string& message) {
  if (holds) return;
  ++failures;
  std::printf("not ok %s: %s\n", place.c_str(), message.c_str());
}

// An array on the device.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values) : count_(values.size()) {
    limo::cuda::check_cuda(cudaMalloc(reinterpret_cast<void**>(&data_), count_ * sizeof(T)), "cudaMalloc");
    limo::cuda::check_cuda(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  std::vector<T> read() const {
    std::vector<T> values(count_);
    limo::cuda::check_cuda(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy");
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t count_;
};

Matrix canaries(const Shape& shape, int heads) {
  Matrix matrix(shape, heads, kCanary);
  for (int row = 0; row < matrix.rows; ++row)
    for (int head = 0; head < heads; ++head)
      for (int d = 0; d < shape.head_dim; ++d) matrix.at(row, head, d) = kNan;
  return matrix;
}

// The emulator runs the warps of every launch in another order.
bool same_bits(const std::vector<Bf16>& a, const std::vector<Bf16>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Bf16)) == 0;
}

struct Case {
  const char* name;
  Shape shape;
  double deviation = 1;    // of q
  int only_sequence = -1;  // the others hold infinities and not-a-numbers
};

std::string describe(const Case& c) {
  std::string text = c.name;
  for (const int length : c.shape.lengths) text += " " + std::to_string(length);
  return text + ", heads " + std::to_string(c.shape.heads) + "/" + std::to_string(c.shape.kv_heads) + ", head dim " +
         std::to_string(c.shape.head_dim);
}

// The rows whose results count.
struct RowRange {
  int first, end;
  RowRange(const Case& c) : first(0), end(c.shape.tokens()) {
    if (c.only_sequence < 0) return;
    first = c.shape.cu_seqlens()[c.only_sequence];
    end = first + c.shape.lengths[c.only_sequence];
  }
};

// Values: at most twice the largest error of `rounded`, in the rows that count. Between the rows: untouched.
void compare(const std::string& place, const char* name, const Matrix& received, const Doubles& exact, const Doubles& rounded,
             RowRange range) {
  double allowed = 0, largest = 0;
  for (int row = range.first; row < range.end; ++row)
    for (int head = 0; head < received.heads; ++head)
      for (int d = 0; d < received.head_dim; ++d) {
        const double error = std::fabs(received.get(row, head, d) - exact.at(row, head, d));
        allowed = std::max(allowed, 2 * std::fabs(rounded.at(row, head, d) - exact.at(row, head, d)));
        if (!(error <= largest)) largest = error;
      }
  // Where nothing is rounded in the reference (one key, say), float32 sums still are.
  allowed = std::max(allowed, 1e-6);
  expect(largest <= allowed, place, std::string(name) + ": expected an error of at most " + std::to_string(allowed) +
                                        " but received " + std::to_string(largest));
  for (int row = 0; row < received.rows; ++row)
    for (int i = received.heads * received.head_dim; i < received.stride; ++i)
      expect(received.values[static_cast<size_t>(row) * received.stride + i].bits == kCanary.bits, place,
             std::string(name) + ": written beyond row " + std::to_string(row));
}

Inputs make_inputs(const Case& c) {
  std::mt19937 random(1);
  const Shape& shape = c.shape;
  Inputs in{shape,
            {shape, shape.heads, kNan},
            {shape, shape.kv_heads, kNan},
            {shape, shape.kv_heads, kNan},
            {shape, shape.heads, kNan}};
  in.q.randomize(random, c.deviation);
  for (Matrix* matrix : {&in.k, &in.v, &in.d_out}) matrix->randomize(random, 1);
  const std::vector<int32_t> starts = shape.cu_seqlens();
  for (size_t s = 0; s < shape.lengths.size() && c.only_sequence >= 0; ++s) {
    if (static_cast<int>(s) == c.only_sequence) continue;
    for (Matrix* matrix : {&in.q, &in.k, &in.v, &in.d_out})
      for (int row = starts[s]; row < starts[s + 1]; ++row)
        for (int i = 0; i < matrix->heads * matrix->head_dim; ++i)
          matrix->values[static_cast<size_t>(row) * matrix->stride + i] = i % 2 ? kInfinity : kNan;
  }
  return in;
}

std::vector<Block> list_blocks(const Shape& shape, int rows_per_block, BlockRows rows) {
  const std::vector<int32_t> starts = shape.cu_seqlens();
  return limo::cuda::list_blocks(starts.data(), static_cast<int64_t>(starts.size()), rows_per_block, rows);
}

void check_forward(const Case& c, const Inputs& in) {
  const Shape& shape = c.shape;
  Matrix out = canaries(shape, shape.heads);
  const DeviceArray<Bf16> q(in.q.values), k(in.k.values), v(in.v.values), device_out(out.values);
  const DeviceArray<float> lse(std::vector<float>(static_cast<size_t>(shape.tokens()) * shape.heads, NAN));
  const std::vector<Block> blocks =
      list_blocks(shape, limo::cuda::sm90_forward_rows(shape.head_dim), BlockRows::kQueries);
  const DeviceArray<Block> device_blocks(blocks);
  limo::cuda::AttentionArguments<Bf16> call{};
  call.out = device_out.data();
  call.lse = lse.data();
  call.q = q.data();
  call.k = k.data();
  call.v = v.data();
  call.out_stride = out.stride;
  call.lse_stride = shape.heads;
  call.q_stride = in.q.stride;
  call.k_stride = in.k.stride;
  call.v_stride = in.v.stride;
  call.rows = shape.tokens();
  call.query_blocks = device_blocks.data();
  call.query_block_count = static_cast<int>(blocks.size());
  call.heads = shape.heads;
  call.kv_heads = shape.kv_heads;
  call.head_dim = shape.head_dim;
  call.scale = static_cast<float>(shape.scale());
  limo::cuda::attention_forward_sm90(call, kMultiprocessors, nullptr);
  limo::cuda::check_cuda(cudaStreamSynchronize(nullptr), "attention's forward pass");
  out.values = device_out.read();
  limo::cuda::attention_forward_sm90(call, kMultiprocessors, nullptr);
  expect(same_bits(out.values, device_out.read()), describe(c), "out: expected the same bits from a second run");
  const std::vector<float> received_lse = lse.read();

  const Forward exact = forward(in, false), rounded = forward(in, true);
  const RowRange range(c);
  compare(describe(c), "out", out, exact.out, rounded.out, range);
  double largest = 0;
  for (int row = range.first; row < range.end; ++row)
    for (int head = 0; head < shape.heads; ++head) {
      const double expected = exact.lse.at(row, head, 0);
      const double error = std::fabs(received_lse[static_cast<size_t>(row) * shape.heads + head] - expected);
      const double relative = error / std::max(1.0, std::fabs(expected));
      if (!(relative <= largest)) largest = relative;
    }
  // Sums of float32 over head_dim products and over the row: far below 64 roundings' worth.
  expect(largest <= 64 * 0x1p-24, describe(c), "lse: received a relative error of " + std::to_string(largest));
}

void check_backward(const Case& c, const Inputs& in) {
  const Shape& shape = c.shape;
  const Forward forwards = forward(in, true);
  Matrix out(shape, shape.heads, kNan);
  std::vector<float> lse;
  for (int row = 0; row < out.rows; ++row)
    for (int head = 0; head < shape.heads; ++head) {
      lse.push_back(static_cast<float>(forwards.lse.at(row, head, 0)));
      for (int d = 0; d < shape.head_dim; ++d) out.at(row, head, d) = round_bf16(forwards.out.at(row, head, d));
    }
  Matrix d_q = canaries(shape, shape.heads), d_k = canaries(shape, shape.kv_heads), d_v = canaries(shape, shape.kv_heads);
  const DeviceArray<Bf16> q(in.q.values), k(in.k.values), v(in.v.values), d_out(in.d_out.values), device_out(out.values);
  const DeviceArray<Bf16> device_d_q(d_q.values), device_d_k(d_k.values), device_d_v(d_v.values);
  const DeviceArray<float> device_lse(lse), delta(std::vector<float>(lse.size(), NAN));
  const std::vector<Block> query_blocks = list_blocks(shape, limo::cuda::kSm90BackwardRows, BlockRows::kQueries);
  const std::vector<Block> key_blocks = list_blocks(shape, limo::cuda::kSm90BackwardRows, BlockRows::kKeys);
  const DeviceArray<Block> device_query_blocks(query_blocks), device_key_blocks(key_blocks);
  limo::cuda::AttentionBackwardArguments<Bf16> call{};
  call.d_q = device_d_q.data();
  call.d_k = device_d_k.data();
  call.d_v = device_d_v.data();
  call.delta = delta.data();
  call.d_out = d_out.data();
  call.out = device_out.data();
  call.lse = device_lse.data();
  call.q = q.data();
  call.k = k.data();
  call.v = v.data();
  call.d_q_stride = d_q.stride;
  call.d_k_stride = d_k.stride;
  call.d_v_stride = d_v.stride;
  call.delta_stride = shape.heads;
  call.d_out_stride = in.d_out.stride;
  call.out_stride = out.stride;
  call.lse_stride = shape.heads;
  call.q_stride = in.q.stride;
  call.k_stride = in.k.stride;
  call.v_stride = in.v.stride;
  call.rows = shape.tokens();
  call.query_blocks = device_query_blocks.data();
  call.query_block_count = static_cast<int>(query_blocks.size());
  call.key_blocks = device_key_blocks.data();
  call.key_block_count = static_cast<int>(key_blocks.size());
  call.heads = shape.heads;
  call.kv_heads = shape.kv_heads;
  call.head_dim = shape.head_dim;
  call.scale = static_cast<float>(shape.scale());
  limo::cuda::attention_backward_sm90(call, nullptr);
  limo::cuda::check_cuda(cudaStreamSynchronize(nullptr), "attention's backward pass");
  d_q.values = device_d_q.read();
  d_k.values = device_d_k.read();
  d_v.values = device_d_v.read();
  limo::cuda::attention_backward_sm90(call, nullptr);
  expect(same_bits(d_q.values, device_d_q.read()) && same_bits(d_k.values, device_d_k.read()) &&
             same_bits(d_v.values, device_d_v.read()),
         describe(c), "expected the same bits from a second run of the backward pass");

  const Backward exact = backward(in, out, lse, false), rounded = backward(in, out, lse, true);
  compare(describe(c), "d_q", d_q, exact.d_q, rounded.d_q, c);
  compare(describe(c), "d_k", d_k, exact.d_k, rounded.d_k, c);
  compare(describe(c), "d_v", d_v, exact.d_v, rounded.d_v, c);
}

// Scores of about -1e32: their differences alone count.
void check_huge_scores() {
  Case c{"huge scores", {{3}, 1, 1, 16}};
  Inputs in = make_inputs(c);
  for (int row = 0; row < 3; ++row)
    for (int d = 0; d < 16; ++d) {
      in.q.at(row, 0, d) = round_bf16(d == 0 ? -1e16 : 0);
      in.k.at(row, 0, d) = round_bf16(d == 0 ? 1e16 : 0);
    }
  check_forward(c, in);
}

const Case kCases[] = {
    {"one row", {{1}, 1, 1, 128}},
    {"around a warpgroup", {{63, 64, 65}, 1, 1, 128}},
    {"around a block", {{127, 128, 129}, 2, 1, 128}},
    {"several blocks", {{193, 300}, 2, 2, 128}},
    {"one row", {{1}, 1, 1, 64}},
    {"around a warpgroup", {{63, 64, 65}, 1, 1, 64}},
    {"around a block", {{191, 193, 129}, 2, 1, 64}},
    {"several blocks", {{385, 450}, 2, 2, 64}},
    {"more blocks than stages", {{600}, 1, 1, 64}},
    {"seven heads a group", {{150}, 7, 1, 64}},
    {"seven heads a group", {{70, 1, 66}, 14, 2, 128}},
    {"padded head", {{130, 40}, 2, 1, 16}},
    {"padded head", {{130, 40}, 2, 1, 40}},
    {"padded head", {{130, 40}, 2, 1, 80}},
    {"padded head", {{130, 40}, 2, 1, 96}},
    {"row stride", {{130, 40}, 2, 1, 64, 24}},
    {"row stride", {{130, 40}, 2, 1, 128, 8}},
    {"steep", {{260}, 1, 1, 128}, 30},
    {"steep", {{260}, 1, 1, 64}, 30},
    {"infinities beside", {{50, 140, 60}, 1, 1, 128}, 1, 1},
    {"infinities beside", {{50, 200, 60}, 2, 1, 64}, 1, 1},
    {"infinities beside", {{128, 1, 128}, 1, 1, 40}, 1, 1},
};

}  // namespace

int main() {
  int cases = 0;
  try {
    for (const Case& c : kCases) {
      const Inputs in = make_inputs(c);
      check_forward(c, in);
      check_backward(c, in);
      ++cases;
    }
    check_huge_scores();
    ++cases;
  } catch (const limo::Error& error) {  // a device that has failed runs nothing more
    expect(false, "case " + std::to_string(cases + 1), error.what());
  }
  std::printf("attention for sm_90a: %d cases, %d failures\n", cases, failures);
  return failures == 0 ? 0 : 1;
}
