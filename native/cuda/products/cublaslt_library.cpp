#include "cuda/products/cublaslt_library.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdlib.h>

#include <optional>
#include <vector>

#include "core/error.h"

namespace limo::cublaslt {
namespace {

constexpr const char* kNames[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"};

std::vector<std::string> matching_folders(const std::string& pattern) {
  std::vector<std::string> folders;
  glob_t found{};
  if (glob(pattern.c_str(), GLOB_ONLYDIR, nullptr, &found) == 0)
    for (size_t i = 0; i < found.gl_pathc; ++i) folders.emplace_back(found.gl_pathv[i]);
  globfree(&found);
  return folders;
}

// Candidates for Python environments: the active ones (VIRTUAL_ENV, CONDA_PREFIX), and the parent folders of the PATH's.
std::vector<std::string> python_prefixes() {
  std::vector<std::string> prefixes;
  for (const char* name : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const char* value = getenv(name)) prefixes.emplace_back(value);
  const std::string path = getenv("PATH") ? getenv("PATH") : "";
  for (size_t start = 0; start < path.size();) {
    const size_t end = path.find(':', start) == std::string::npos ? path.size() : path.find(':', start);
    const std::string folder = path.substr(start, end - start);
    if (!folder.empty()) prefixes.push_back(folder + "/..");
    start = end + 1;
  }
  prefixes.insert(prefixes.end(), {"/usr", "/usr/local", "/opt/conda"});
  return prefixes;
}

std::vector<std::string> folders_to_search() {
  std::vector<std::string> folders;
  for (const char* name : {"CUDA_HOME", "CUDA_PATH"})
    if (const char* value = getenv(name)) {
      folders.push_back(std::string(value) + "/lib64");
      folders.push_back(std::string(value) + "/targets/x86_64-linux/lib");
    }
  folders.insert(folders.end(), {"/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu"});
  for (const std::string& prefix : python_prefixes())
    for (const char* packages : {"/lib/python3*/site-packages", "/lib/python3*/dist-packages", "/local/lib/python3*/dist-packages"})
      for (const std::string& folder : matching_folders(prefix + packages + "/nvidia/*/lib")) folders.push_back(folder);
  return folders;
}

template <class Function>
void find(void* library, const std::string& path, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (!function) throw Error(ErrorCode::kDeviceUnavailable, "expected the function " + std::string(name) + " in " + path + " but it is missing");
}

Library resolve(void* library, const std::string& path) {
  Library l{};
  l.path = path;
  find(library, path, "cublasLtGetVersion", l.get_version);
  find(library, path, "cublasLtCreate", l.create);
  find(library, path, "cublasLtDestroy", l.destroy);
  find(library, path, "cublasLtMatmul", l.matmul);
  find(library, path, "cublasLtMatmulDescCreate", l.matmul_desc_create);
  find(library, path, "cublasLtMatmulDescDestroy", l.matmul_desc_destroy);
  find(library, path, "cublasLtMatmulDescSetAttribute", l.matmul_desc_set_attribute);
  find(library, path, "cublasLtMatrixLayoutCreate", l.matrix_layout_create);
  find(library, path, "cublasLtMatrixLayoutDestroy", l.matrix_layout_destroy);
  find(library, path, "cublasLtMatmulPreferenceCreate", l.matmul_preference_create);
  find(library, path, "cublasLtMatmulPreferenceDestroy", l.matmul_preference_destroy);
  find(library, path, "cublasLtMatmulPreferenceSetAttribute", l.matmul_preference_set_attribute);
  find(library, path, "cublasLtMatmulAlgoGetHeuristic", l.matmul_algo_get_heuristic);
  return l;
}

std::string loaded_path(void* library, const std::string& asked) {
  Dl_info info;
  void* function = dlsym(library, "cublasLtGetVersion");
  return function && dladdr(function, &info) && info.dli_fname ? info.dli_fname : asked;
}

// The library of that name or path, if it loads and has all functions.
std::optional<Library> try_open(const std::string& name) {
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return std::nullopt;
  try {
    return resolve(library, loaded_path(library, name));
  } catch (const Error&) {
    return std::nullopt;  // another may have them
  }
}

Library search() {
  const char* named = getenv("LIMO_CUBLASLT");
  if (named && *named) {
    void* library = dlopen(named, RTLD_NOW | RTLD_LOCAL);
    if (!library) throw Error(ErrorCode::kDeviceUnavailable, "expected cuBLASLt at LIMO_CUBLASLT but it does not load: " + std::string(dlerror()));
    return resolve(library, named);
  }
  for (const char* name : kNames)
    if (const auto library = try_open(name)) return *library;
  for (const std::string& folder : folders_to_search())
    for (const char* name : kNames)
      if (const auto library = try_open(folder + "/" + name)) return *library;
  throw Error(ErrorCode::kDeviceUnavailable,
              "expected cuBLASLt (libcublasLt.so.12 or .13), which multiplies matrices, but found it neither on the loader's path nor in CUDA_HOME, "
              "/usr/local/cuda/lib64, /usr/lib/x86_64-linux-gnu or the site-packages/nvidia/*/lib of a Python environment. Install it with the CUDA "
              "toolkit or with `pip install nvidia-cublas` (CUDA 12: nvidia-cublas-cu12), or name the file in LIMO_CUBLASLT");
}

}  // namespace

const Library& open_library() {
  // Never closed, and never destroyed: threads of other devices may still use it when the process ends.
  static const Library& library = *new Library(search());
  return library;
}

}  // namespace limo::cublaslt
