#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "core/error.h"
#include "cuda/context.h"
#include "cuda/products/cublaslt_library.h"
#include "cuda/products/plain_products.h"
#include "cuda/products/products.h"

namespace limo {
namespace {

using namespace cublaslt;

void check(Status status, const char* what) {
  if (status != kSuccess) throw Error(ErrorCode::kDeviceFailed, "cuBLASLt failed in " + std::string(what) + " with status " + std::to_string(status));
}

// Whether the library says of a call that it will not do this product, which leaves the device as it was; 14 comes where something in the
// library is not made for the operands, too.
bool is_refusal(Status status) {
  return status == kInvalidValue || status == kArchitectureMismatch || status == kInternalError || status == kNotSupported;
}

int data_type(DType dtype) { return dtype == DType::kBF16 ? kReal16BF : kReal32F; }

// What kernels need at most. To tell larger ones apart would make the choice of an algorithm, and with it bits, depend on where memory lies.
constexpr uint64_t kMostAlignment = 16;

// The largest power of two up to kMostAlignment that an address and its rows are multiples of, in bytes.
uint32_t alignment_of(const void* data, int64_t row_stride, DType dtype) {
  const uint64_t bits = reinterpret_cast<uint64_t>(data) | static_cast<uint64_t>(row_stride * dtype_bytes(dtype)) | kMostAlignment;
  return static_cast<uint32_t>(bits & (~bits + 1));
}

constexpr size_t kMostPlans = 1024;

// cuBLASLt counts columns first, so it is asked for the transpose: cᵀ = bᵀ·aᵀ, where a row-major matrix is its own transpose.
class CublasLtProducts : public MatrixProducts {
 public:
  explicit CublasLtProducts(CudaContext& context) : context_(context), library_(open_library()) {
    check(library_.create(&handle_), "cublasLtCreate");
  }
  ~CublasLtProducts() override {
    clear();
    library_.destroy(handle_);
  }

  void multiply(const Product& p) override {
    // Nothing to write, or nothing to add.
    if (p.m == 0 || p.n == 0 || (p.k == 0 && p.accumulate)) return;
    Plan& plan = plan_for(p);
    if (plan.found) {
      if (p.bias) {
        const void* const bias = aligned_bias(p);
        check(library_.matmul_desc_set_attribute(plan.description, kBiasPointer, &bias, sizeof bias), "setting the bias");
      }
      const float alpha = 1, beta = p.accumulate ? 1 : 0;
      const Status status = library_.matmul(handle_, plan.description, &alpha, p.b.data, plan.b, p.a.data, plan.a, &beta, p.c, plan.c, p.c, plan.c,
                                            &plan.algorithm, context_.product_workspace(), kProductWorkspaceBytes, context_.stream());
      if (status == kSuccess) return;
      if (!is_refusal(status)) check(status, "cublasLtMatmul");
      plan.found = false;
    }
    ++refused_;
    cuda::multiply_plainly(context_, p);
  }
  uint64_t refused() const override { return refused_; }
  std::string description() const override { return find_matrix_products(); }

 private:
  // Everything that a choice of algorithm depends on.
  using Key = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, uint32_t, uint32_t, uint32_t, int>;
  struct Plan {
    MatmulDescription description = nullptr;
    Layout a = nullptr, b = nullptr, c = nullptr;
    Algorithm algorithm{};
    bool found = false;  // an algorithm; there may be none for operands at odd places, or the library refuses it after all
  };

  Plan& plan_for(const Product& p) {
    const uint32_t a = alignment_of(p.a.data, p.a.row_stride, p.a.dtype), b = alignment_of(p.b.data, p.b.row_stride, p.b.dtype),
                   c = alignment_of(p.c, p.c_row_stride, p.c_dtype);
    const int flags = p.a.transposed | p.b.transposed << 1 | p.accumulate << 2 | (p.bias != nullptr) << 3 | (p.a.dtype == DType::kBF16) << 4 |
                      (p.c_dtype == DType::kBF16) << 5;
    const Key key{p.m, p.n, p.k, p.a.row_stride, p.b.row_stride, p.c_row_stride, a, b, c, flags};
    const auto known = plans_.find(key);
    if (known != plans_.end()) return known->second;
    // Batches differ in their number of tokens, so the cache of algorithms must be bounded.
    if (plans_.size() >= kMostPlans) clear();
    Plan plan;
    try {
      make(plan, p, {a, b, c});
    } catch (...) {
      destroy(plan);
      throw;
    }
    return plans_.emplace(key, plan).first->second;
  }

  // Kernels may read 16 bytes of the bias at once, whatever is said of alignments: one at another place is copied.
  const void* aligned_bias(const Product& p) {
    if (alignment_of(p.bias, 0, p.c_dtype) == kMostAlignment) return p.bias;
    const int64_t bytes = p.n * dtype_bytes(p.c_dtype);
    char* const copy = context_.partial_sums<char>(bytes);
    cuda::check_cuda(cudaMemcpyAsync(copy, p.bias, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, context_.stream()), "copying a bias");
    return copy;
  }

  struct Alignments {
    uint32_t a, b, c;
  };

  // Leaves the plan without an algorithm where the library refuses the product.
  void make(Plan& plan, const Product& p, Alignments alignments) {
    check(library_.matmul_desc_create(&plan.description, kCompute32F, kReal32F), "cublasLtMatmulDescCreate");
    const int transpose_a = p.a.transposed ? kTransposed : kNotTransposed, transpose_b = p.b.transposed ? kTransposed : kNotTransposed;
    check(library_.matmul_desc_set_attribute(plan.description, kTransposeA, &transpose_b, sizeof transpose_b), "setting a transpose");
    check(library_.matmul_desc_set_attribute(plan.description, kTransposeB, &transpose_a, sizeof transpose_a), "setting a transpose");
    if (p.bias) {
      const int epilogue = kEpilogueBias;
      check(library_.matmul_desc_set_attribute(plan.description, kEpilogue, &epilogue, sizeof epilogue), "setting the epilogue");
      // The heuristic sees where a bias lies: at such a multiple, as that of every product.
      const void* const bias = context_.partial_sums<char>(1);
      check(library_.matmul_desc_set_attribute(plan.description, kBiasPointer, &bias, sizeof bias), "setting the bias");
    }
    const auto layout = [&](Layout& to, DType dtype, int64_t rows, int64_t columns, int64_t stride) {
      const Status status = library_.matrix_layout_create(&to, data_type(dtype), static_cast<uint64_t>(columns), static_cast<uint64_t>(rows), stride);
      if (!is_refusal(status)) check(status, "cublasLtMatrixLayoutCreate");
      return status == kSuccess;
    };
    if (layout(plan.a, p.a.dtype, p.a.transposed ? p.k : p.m, p.a.transposed ? p.m : p.k, p.a.row_stride) &&
        layout(plan.b, p.b.dtype, p.b.transposed ? p.n : p.k, p.b.transposed ? p.k : p.n, p.b.row_stride) &&
        layout(plan.c, p.c_dtype, p.m, p.n, p.c_row_stride))
      choose(plan, alignments);
  }

  // The first algorithm that cuBLASLt proposes, not the one that is fastest in a trial: the choice, and with it every bit of the
  // result, depends on the shape alone and not on what the machine was doing.
  void choose(Plan& plan, Alignments alignments) {
    Preference preference = nullptr;
    check(library_.matmul_preference_create(&preference), "cublasLtMatmulPreferenceCreate");
    const std::unique_ptr<PreferenceContents, Status (*)(Preference)> owned(preference, library_.matmul_preference_destroy);
    const auto set = [&](int attribute, const auto& value) {
      check(library_.matmul_preference_set_attribute(preference, attribute, &value, sizeof value), "setting a preference");
    };
    set(kMaxWorkspace, kProductWorkspaceBytes);
    set(kReductionSchemes, kReduceInWorkspace);
    set(kMinAlignmentA, alignments.b);
    set(kMinAlignmentB, alignments.a);
    set(kMinAlignmentC, alignments.c);
    set(kMinAlignmentD, alignments.c);
    Heuristic found{};
    int count = 0;
    const Status status =
        library_.matmul_algo_get_heuristic(handle_, plan.description, plan.b, plan.a, plan.c, plan.c, preference, 1, &found, &count);
    if (!is_refusal(status)) check(status, "cublasLtMatmulAlgoGetHeuristic");
    plan.found = status == kSuccess && count > 0 && found.state == kSuccess;
    plan.algorithm = found.algorithm;
  }

  void clear() {
    for (auto& [key, plan] : plans_) destroy(plan);
    plans_.clear();
  }

  void destroy(Plan& plan) {
    for (Layout layout : {plan.a, plan.b, plan.c})
      if (layout) library_.matrix_layout_destroy(layout);
    if (plan.description) library_.matmul_desc_destroy(plan.description);
  }

  CudaContext& context_;
  const Library& library_;
  Handle handle_ = nullptr;
  std::map<Key, Plan> plans_;
  uint64_t refused_ = 0;
};

// A small product, held against one on the host: a library that was found somewhere must be shown to do what we think it does.
void check_small_product(CudaContext& context, MatrixProducts& products) {
  constexpr int64_t kM = 24, kN = 40, kK = 56;
  std::vector<Bf16> a(kM * kK), b(kN * kK);
  std::vector<float> c(kM * kN, 1.0f);
  // Small whole numbers: the product is exact in any order.
  const auto number = [](size_t i) { return static_cast<float>(static_cast<int>(static_cast<uint32_t>(i) * 2654435761u >> 28) - 8); };
  const auto to_bf16 = [](float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return Bf16{static_cast<uint16_t>(bits >> 16)};
  };
  for (size_t i = 0; i < a.size(); ++i) a[i] = to_bf16(number(i));
  for (size_t i = 0; i < b.size(); ++i) b[i] = to_bf16(number(i + 77));
  char* const memory = context.partial_sums<char>(1 << 16);
  char *const on_a = memory, *const on_b = memory + (1 << 13), *const on_c = memory + (1 << 14);
  context.upload(on_a, a.data(), a.size() * 2);
  context.upload(on_b, b.data(), b.size() * 2);
  context.upload(on_c, c.data(), c.size() * 4);
  products.multiply({.m = kM, .n = kN, .k = kK, .a = {on_a, DType::kBF16, kK, false}, .b = {on_b, DType::kBF16, kK, true}, .c = on_c,
                     .c_dtype = DType::kF32, .c_row_stride = kN, .accumulate = true, .bias = nullptr});
  context.download(c.data(), on_c, c.size() * 4);
  context.finish_run();
  context.begin_run();
  for (int64_t m = 0; m < kM; ++m)
    for (int64_t n = 0; n < kN; ++n) {
      float expected = 1;
      for (int64_t k = 0; k < kK; ++k) expected += number(static_cast<size_t>(m * kK + k)) * number(static_cast<size_t>(n * kK + k) + 77);
      if (c[static_cast<size_t>(m * kN + n)] != expected)
        throw Error(ErrorCode::kDeviceUnavailable, "expected " + products.description() + " to multiply correctly but a small product has " +
                                                       std::to_string(c[static_cast<size_t>(m * kN + n)]) + " for " + std::to_string(expected));
    }
}

}  // namespace

std::string find_matrix_products() {
  const Library& library = open_library();
  const size_t version = library.get_version();
  return "cuBLASLt " + std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + " at " + library.path;
}

std::unique_ptr<MatrixProducts> open_matrix_products(CudaContext& context) {
  auto products = std::make_unique<CublasLtProducts>(context);
  check_small_product(context, *products);
  return products;
}

}  // namespace limo
