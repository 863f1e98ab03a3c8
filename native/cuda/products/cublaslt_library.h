#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "cuda/runtime.h"

// cuBLASLt, opened at run time: a machine needs neither its headers to build nor the library to start. Declared here is what we
// call of its interface, which is the same in CUDA 12 and 13 (NVIDIA, "cuBLAS Library: Using the cuBLASLt API").
namespace limo::cublaslt {

using Status = int;
constexpr Status kSuccess = 0, kInvalidValue = 7, kArchitectureMismatch = 8, kInternalError = 14, kNotSupported = 15;
using Handle = struct HandleContents*;
using MatmulDescription = struct MatmulDescriptionContents*;
using Layout = struct LayoutContents*;
using Preference = struct PreferenceContents*;

struct Algorithm {
  uint64_t data[8];
};

struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};

constexpr int kCompute32F = 68;
constexpr int kReal32F = 0, kReal16BF = 14;  // cudaDataType
constexpr int kNotTransposed = 0, kTransposed = 1;
enum MatmulAttribute { kTransposeA = 3, kTransposeB = 4, kEpilogue = 7, kBiasPointer = 8 };
constexpr int kEpilogueBias = 4;
enum PreferenceAttribute { kMaxWorkspace = 1, kReductionSchemes = 3, kMinAlignmentA = 5, kMinAlignmentB = 6, kMinAlignmentC = 7, kMinAlignmentD = 8 };
// Splits of the inner dimension that are added up in the workspace in a fixed order; the other scheme adds where they are.
constexpr uint32_t kReduceInWorkspace = 2;

struct Library {
  std::string path;
  size_t (*get_version)();
  Status (*create)(Handle*);
  Status (*destroy)(Handle);
  Status (*matmul)(Handle, MatmulDescription, const void* alpha, const void* a, Layout, const void* b, Layout, const void* beta, const void* c, Layout,
                   void* d, Layout, const Algorithm*, void* workspace, size_t workspace_bytes, cudaStream_t);
  Status (*matmul_desc_create)(MatmulDescription*, int compute_type, int scale_type);
  Status (*matmul_desc_destroy)(MatmulDescription);
  Status (*matmul_desc_set_attribute)(MatmulDescription, int attribute, const void* value, size_t bytes);
  Status (*matrix_layout_create)(Layout*, int type, uint64_t rows, uint64_t columns, int64_t leading_dimension);
  Status (*matrix_layout_destroy)(Layout);
  Status (*matmul_preference_create)(Preference*);
  Status (*matmul_preference_destroy)(Preference);
  Status (*matmul_preference_set_attribute)(Preference, int attribute, const void* value, size_t bytes);
  Status (*matmul_algo_get_heuristic)(Handle, MatmulDescription, Layout a, Layout b, Layout c, Layout d, Preference, int requested, Heuristic*, int* returned);
};

// Opens the library once: the file that LIMO_CUBLASLT names, else the first that loads of the loader's path, CUDA_HOME or
// CUDA_PATH, the usual folders of CUDA, and Python's site-packages (of VIRTUAL_ENV, CONDA_PREFIX and the folders above those of the
// PATH). Throws kDeviceUnavailable, saying where it was looked for.
const Library& open_library();

}  // namespace limo::cublaslt
