#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "cuda/device.h"
#include "cuda/emulator/memory.h"
#include "cuda/emulator/runtime.h"
#include "cuda/products/cublaslt_library.h"

// cuBLASLt of the emulated device: the products that it is asked for, and no more than its interface promises. Operands that are not where
// the choice of an algorithm was told that they would be fault, as on a device; so does a bias at an address that is no multiple of
// 16. LIMO_EMULATED_PRODUCTS=heuristic:STATUS or matmul:STATUS makes that call fail with that status.

namespace limo::cublaslt {

struct HandleContents {};
struct MatmulDescriptionContents {
  int transpose_a = kNotTransposed, transpose_b = kNotTransposed, epilogue = 1;
  const void* bias = nullptr;
};
struct LayoutContents {
  int type;
  int64_t rows, columns, leading_dimension;  // rows lie together

  bool operator==(const LayoutContents&) const = default;
};
struct PreferenceContents {
  uint64_t workspace_bytes = 0;
  uint32_t reduction_schemes = 0, alignments[4] = {256, 256, 256, 256};  // of a, b, c, d
};

namespace {

using cuda::to_bf16;
using cuda::to_float;

// What an algorithm was chosen for.
struct Choice {
  uint64_t workspace_bytes;
  uint32_t alignments[4];
};
static_assert(sizeof(Choice) <= sizeof(Algorithm));

// The status that a call was asked to fail with.
Status asked_status(const char* call) {
  const char* const text = std::getenv("LIMO_EMULATED_PRODUCTS");
  const size_t length = std::strlen(call);
  return text && std::strncmp(text, call, length) == 0 && text[length] == ':' ? std::atoi(text + length + 1) : kSuccess;
}

bool are_valid(const LayoutContents& a, bool transposes_a, const LayoutContents& b, bool transposes_b, const LayoutContents& c) {
  const auto is_valid = [](const LayoutContents& l) { return l.rows > 0 && l.columns > 0 && l.leading_dimension >= l.rows; };
  const int64_t rows = transposes_a ? a.columns : a.rows, a_inner = transposes_a ? a.rows : a.columns;
  const int64_t columns = transposes_b ? b.rows : b.columns, b_inner = transposes_b ? b.columns : b.rows;
  return is_valid(a) && is_valid(b) && is_valid(c) && a_inner == b_inner && rows == c.rows && columns == c.columns && a.type == b.type &&
         (c.type == kReal32F || c.type == a.type);
}

size_t element_bytes(int type) { return type == kReal16BF ? 2 : 4; }

float number_at(const void* data, int type, int64_t i) {
  return type == kReal16BF ? to_float(static_cast<const Bf16*>(data)[i]) : static_cast<const float*>(data)[i];
}

// [inner][outer] of float32.
std::vector<float> gathered(const void* data, const LayoutContents& l, bool inner_is_rows) {
  const int64_t inner = inner_is_rows ? l.rows : l.columns, outer = inner_is_rows ? l.columns : l.rows;
  std::vector<float> values(static_cast<size_t>(inner * outer));
  for (int64_t k = 0; k < inner; ++k)
    for (int64_t i = 0; i < outer; ++i)
      values[static_cast<size_t>(k * outer + i)] =
          number_at(data, l.type, inner_is_rows ? k + i * l.leading_dimension : i + k * l.leading_dimension);
  return values;
}

// Each number is summed in the order of k, as the plain product does.
void multiply(const MatmulDescriptionContents& how, const void* a, const LayoutContents& a_layout, const void* b, const LayoutContents& b_layout,
              bool accumulates, void* d, const LayoutContents& d_layout) {
  const int64_t rows = d_layout.rows, columns = d_layout.columns;
  const int64_t inner = how.transpose_a == kTransposed ? a_layout.rows : a_layout.columns;
  const std::vector<float> a_values = gathered(a, a_layout, how.transpose_a == kTransposed);
  const std::vector<float> b_values = gathered(b, b_layout, how.transpose_b != kTransposed);
  std::vector<float> sums(static_cast<size_t>(rows));
  for (int64_t column = 0; column < columns; ++column) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (int64_t k = 0; k < inner; ++k) {
      const float factor = b_values[static_cast<size_t>(k * columns + column)];
      const float* const from = a_values.data() + k * rows;
      for (int64_t row = 0; row < rows; ++row) sums[static_cast<size_t>(row)] += from[row] * factor;
    }
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t at = column * d_layout.leading_dimension + row;
      float sum = sums[static_cast<size_t>(row)];
      if (how.epilogue == kEpilogueBias) sum += number_at(how.bias, d_layout.type, row);
      if (accumulates) sum += number_at(d, d_layout.type, at);
      if (d_layout.type == kReal16BF) static_cast<Bf16*>(d)[at] = to_bf16(sum);
      else static_cast<float*>(d)[at] = sum;
    }
  }
}

bool is_on_device(const void* data, const LayoutContents& l) {
  return cuda::emulator::is_device_memory(
      data, static_cast<size_t>((l.columns - 1) * l.leading_dimension + l.rows) * element_bytes(l.type));
}

// Whether an operand's columns lie as the algorithm expects.
bool is_aligned(const void* data, const LayoutContents& l, uint32_t alignment) {
  return reinterpret_cast<uintptr_t>(data) % alignment == 0 &&
         static_cast<uint64_t>(l.leading_dimension) * element_bytes(l.type) % alignment == 0;
}

Status matmul(Handle, MatmulDescription how, const void* alpha, const void* a, Layout a_layout, const void* b, Layout b_layout, const void* beta,
              const void* c, Layout c_layout, void* d, Layout d_layout, const Algorithm* algorithm, void* workspace, size_t workspace_bytes,
              cudaStream_t stream) {
  if (const Status asked = asked_status("matmul"); asked != kSuccess) return asked;
  Choice choice;
  std::memcpy(&choice, algorithm, sizeof choice);
  const float one = *static_cast<const float*>(alpha), kept = *static_cast<const float*>(beta);
  if (one != 1 || (kept != 0 && kept != 1) || c != d || !(*c_layout == *d_layout) || workspace_bytes < choice.workspace_bytes ||
      !are_valid(*a_layout, how->transpose_a == kTransposed, *b_layout, how->transpose_b == kTransposed, *d_layout) ||
      !cuda::emulator::is_device_memory(workspace, workspace_bytes) || !is_on_device(a, *a_layout) || !is_on_device(b, *b_layout) ||
      !is_on_device(d, *d_layout))
    return kInvalidValue;
  const bool adds_bias = how->epilogue == kEpilogueBias;
  if (!is_aligned(a, *a_layout, choice.alignments[0]) || !is_aligned(b, *b_layout, choice.alignments[1]) ||
      !is_aligned(d, *d_layout, choice.alignments[3]) || (adds_bias && reinterpret_cast<uintptr_t>(how->bias) % 16 != 0)) {
    cuda::emulator::fail_device(cudaErrorMisalignedAddress, "a product of cuBLASLt has an operand at another place than it was told");
    return kSuccess;  // It is found out when the kernel runs.
  }
  cuda::emulator::queue_work(stream, [=, how = *how, a_layout = *a_layout, b_layout = *b_layout, d_layout = *d_layout] {
    multiply(how, a, a_layout, b, b_layout, kept == 1, d, d_layout);
  });
  return kSuccess;
}

Status find_algorithm(Handle, MatmulDescription how, Layout a, Layout b, Layout c, Layout d, Preference preference, int requested, Heuristic* found,
                      int* returned) {
  *returned = 0;
  if (const Status asked = asked_status("heuristic"); asked != kSuccess) return asked;
  if (requested < 1 || !(*c == *d) || !are_valid(*a, how->transpose_a == kTransposed, *b, how->transpose_b == kTransposed, *d))
    return kInvalidValue;
  // Rows of bfloat16 at odd places: no algorithm takes them.
  for (const uint32_t alignment : preference->alignments)
    if (alignment < 4) return kNotSupported;
  Choice choice{preference->workspace_bytes, {}};
  std::copy(std::begin(preference->alignments), std::end(preference->alignments), choice.alignments);
  *found = {};
  std::memcpy(&found->algorithm, &choice, sizeof choice);
  found->workspace_bytes = preference->workspace_bytes;
  *returned = 1;
  return kSuccess;
}

template <class T>
Status set(T& to, const void* value, size_t bytes) {
  if (bytes != sizeof to) return kInvalidValue;
  std::memcpy(&to, value, bytes);
  return kSuccess;
}

Status set_attribute(MatmulDescription how, int attribute, const void* value, size_t bytes) {
  switch (attribute) {
    case kTransposeA: return set(how->transpose_a, value, bytes);
    case kTransposeB: return set(how->transpose_b, value, bytes);
    case kEpilogue: return set(how->epilogue, value, bytes);
    case kBiasPointer: return set(how->bias, value, bytes);
    default: return kInvalidValue;
  }
}

Status set_preference(Preference preference, int attribute, const void* value, size_t bytes) {
  switch (attribute) {
    case kMaxWorkspace: return set(preference->workspace_bytes, value, bytes);
    case kReductionSchemes: return set(preference->reduction_schemes, value, bytes);
    case kMinAlignmentA: case kMinAlignmentB: case kMinAlignmentC: case kMinAlignmentD:
      return set(preference->alignments[attribute - kMinAlignmentA], value, bytes);
    default: return kInvalidValue;
  }
}

template <class T>
Status destroy(T* what) {
  delete what;
  return kSuccess;
}

}  // namespace

const Library& open_library() {
  static const Library library{
      .path = "the emulator",
      .get_version = [] { return size_t{130000}; },
      .create = [](Handle* handle) { *handle = new HandleContents; return kSuccess; },
      .destroy = destroy<HandleContents>,
      .matmul = matmul,
      .matmul_desc_create = [](MatmulDescription* how, int compute_type, int scale_type) {
        *how = new MatmulDescriptionContents;
        return compute_type == kCompute32F && scale_type == kReal32F ? kSuccess : kInvalidValue;
      },
      .matmul_desc_destroy = destroy<MatmulDescriptionContents>,
      .matmul_desc_set_attribute = set_attribute,
      .matrix_layout_create = [](Layout* layout, int type, uint64_t rows, uint64_t columns, int64_t leading_dimension) {
        *layout = new LayoutContents{type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading_dimension};
        return kSuccess;
      },
      .matrix_layout_destroy = destroy<LayoutContents>,
      .matmul_preference_create = [](Preference* preference) { *preference = new PreferenceContents; return kSuccess; },
      .matmul_preference_destroy = destroy<PreferenceContents>,
      .matmul_preference_set_attribute = set_preference,
      .matmul_algo_get_heuristic = find_algorithm,
  };
  return library;
}

}  // namespace limo::cublaslt
