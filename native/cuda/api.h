#pragma once

#include <cstddef>
#include <cstdint>

#include "core/ceiling.h"
#include "core/error.h"
#include "core/queue.h"
#include "core/tensor.h"
#include "cuda/description.h"

// The border between the addon and liblimo_cuda.so, which the addon opens at run time: a table of plain functions, so that no
// exception and no symbol of CUDA crosses it. liblimo_cuda_emulated.so has the same table, for the emulator.
namespace limo {

class CudaContext;  // a device with its stream and working memory; the library's own

// A failure as plain data: the code and the message of a limo::Error.
struct CudaFailure {
  ErrorCode code = ErrorCode::kDeviceFailed;
  char message[2048] = "";
};

constexpr uint32_t kCudaApiVersion = 3;

// Functions that can fail return false and fill the failure. All but the first five are called on the device's thread,
// and `allocate` and `release` on others too.
struct CudaApi {
  uint32_t version;
  bool (*count_devices)(int* count, CudaFailure*);
  // Name, version and path of the library for matrix products, found without a device.
  bool (*find_products)(char (&text)[512], CudaFailure*);
  bool (*open)(int ordinal, CudaContext** context, CudaDescription*, CudaFailure*);
  void (*close)(CudaContext*);
  // Matrix products that the library refused so far, and that a slow kernel did.
  uint64_t (*count_refused_products)(CudaContext*);

  // Zeros, on the device or in pinned memory of the host.
  bool (*allocate)(CudaContext*, size_t bytes, bool pinned, void** memory, CudaFailure*);
  void (*release)(CudaContext*, void* memory, bool pinned);
  // Synchronous.
  bool (*write)(CudaContext*, void* to, const void* from, size_t bytes, CudaFailure*);
  bool (*read)(CudaContext*, void* to, const void* from, size_t bytes, CudaFailure*);

  // Operations by their numbers in op_list.h. Whether kernels can run one with operands of these largest sizes; `list_bytes` becomes what
  // it needs at most for lists of indices, which operations on the same integers share. Fails with kProgramInvalid.
  bool (*check_op)(CudaContext*, size_t op, const Tensor* operands, const double* attributes, size_t* list_bytes, CudaFailure*);

  // A run: what follows is queued in this order, uploads and downloads on the compute queue, and finish_run waits for all of it.
  bool (*begin_run)(CudaContext*, CudaFailure*);
  // Tells the host's copy of an integer input at `device`: operations read it on the host. It must stay until the run is finished.
  bool (*know_integers)(CudaContext*, const void* device, const int32_t* host, CudaFailure*);
  bool (*upload)(CudaContext*, void* to, const void* from, size_t bytes, CudaFailure*);
  bool (*run_op)(CudaContext*, size_t op, Queue queue, const Tensor* operands, const double* attributes, CudaFailure*);
  // Marks where a queue is by an event of that number; another waits until it has been there.
  bool (*record)(CudaContext*, Queue queue, size_t event, CudaFailure*);
  bool (*wait)(CudaContext*, Queue queue, size_t event, CudaFailure*);
  bool (*download)(CudaContext*, void* to, const void* from, size_t bytes, CudaFailure*);  // `to` is filled by finish_run
  bool (*finish_run)(CudaContext*, CudaFailure*);

  // `small` is for tests: too little work for the rate to mean anything.
  bool (*measure)(CudaContext*, Ceiling ceiling, bool small, double* rate, CudaFailure*);
};

// The one symbol that the library exports.
constexpr const char* kCudaApiSymbol = "limo_cuda_api";
using CudaApiFunction = const CudaApi* (*)();

}  // namespace limo
