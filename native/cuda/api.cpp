#include "cuda/api.h"

#include <cstdio>
#include <cstring>
#include <exception>

#include "cuda/ceilings.h"
#include "cuda/context.h"
#include "cuda/operations.h"
#include "runtime/op_bind.h"

namespace limo {
namespace {

using cuda::check_cuda;

struct Operation {
  const char* name;
  size_t (*check)(const Tensor* operands, const double* attributes, const CudaContext& context);
  void (*run)(const Tensor* operands, const double* attributes, CudaContext& context);
};

#define LIMO_ENTRY(Op)                                                                                                                        \
  {Op::kName,                                                                                                                                 \
   [](const Tensor* operands, const double* attributes, const CudaContext& context) { return cuda::check_limits(bind<Op>(operands, attributes), context); }, \
   [](const Tensor* operands, const double* attributes, CudaContext& context) { cuda::run(bind<Op>(operands, attributes), context); }},
constexpr Operation kOperations[] = {LIMO_FOR_EACH_OP(LIMO_ENTRY)};
#undef LIMO_ENTRY

// Calls body and turns an exception into the failure.
template <class Body>
bool guarded(CudaFailure* failure, const Body& body) {
  const auto fail = [&](ErrorCode code, const char* message) {
    failure->code = code;
    std::snprintf(failure->message, sizeof failure->message, "%s", message);
    return false;
  };
  try {
    body();
    return true;
  } catch (const Error& error) {
    return fail(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kOutOfMemory, "the process is out of memory");
  } catch (const std::exception& error) {
    return fail(ErrorCode::kDeviceFailed, error.what());
  } catch (...) {
    return fail(ErrorCode::kDeviceFailed, "an exception of an unknown type");
  }
}

// The same on the context's device, whichever thread calls.
template <class Body>
bool on_device(CudaContext* context, CudaFailure* failure, const Body& body) {
  return guarded(failure, [&] {
    context->make_current();
    body();
  });
}

std::string bytes_text(size_t bytes) {
  char text[64];
  std::snprintf(text, sizeof text, "%.2f GiB", static_cast<double>(bytes) / (1 << 30));
  return text;
}

void* allocate_pinned_zeros(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaHostAlloc(&memory, bytes, cudaHostAllocPortable);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // it is not the device that failed
    throw Error(ErrorCode::kOutOfMemory, "cannot allocate " + std::to_string(bytes) + " bytes (" + bytes_text(bytes) + ") of pinned memory on the host");
  }
  check_cuda(status, "cudaHostAlloc");
  std::memset(memory, 0, bytes);
  return memory;
}

void* allocate_zeros(CudaContext& context, size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // it is not the device that failed
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw Error(ErrorCode::kOutOfMemory, "cannot allocate " + std::to_string(bytes) + " bytes (" + bytes_text(bytes) + ") on " +
                                             context.description().name + ", which has " + bytes_text(free) + " free of " + bytes_text(total));
  }
  check_cuda(status, "cudaMalloc");
  check_cuda(cudaMemsetAsync(memory, 0, bytes, context.memory_stream()), "cudaMemset");
  check_cuda(cudaStreamSynchronize(context.memory_stream()), "cudaMemset");
  return memory;
}

constexpr CudaApi kApi = {
    .version = kCudaApiVersion,
    .count_devices =
        [](int* count, CudaFailure* failure) {
          return guarded(failure, [&] {
            const cudaError_t status = cudaGetDeviceCount(count);
            if (status != cudaSuccess) {
              cudaGetLastError();
              throw Error(ErrorCode::kDeviceUnavailable, std::string("CUDA finds no device: ") + cudaGetErrorString(status));
            }
          });
        },
    .find_products =
        [](char (&text)[512], CudaFailure* failure) {
          return guarded(failure, [&] { std::snprintf(text, sizeof text, "%s", find_matrix_products().c_str()); });
        },
    .open =
        [](int ordinal, CudaContext** context, CudaDescription* description, CudaFailure* failure) {
          return guarded(failure, [&] {
            *context = new CudaContext(ordinal);
            *description = (*context)->description();
          });
        },
    .close = [](CudaContext* context) { delete context; },
    .count_refused_products = [](CudaContext* context) { return context->products().refused(); },
    .allocate =
        [](CudaContext* context, size_t bytes, bool pinned, void** memory, CudaFailure* failure) {
          return on_device(context, failure, [&] {
            *memory = nullptr;
            if (bytes > 0) *memory = pinned ? allocate_pinned_zeros(bytes) : allocate_zeros(*context, bytes);
          });
        },
    .release =
        [](CudaContext* context, void* memory, bool pinned) {
          // A failed device cannot free memory: its context is lost, and the memory with it.
          CudaFailure ignored;
          on_device(context, &ignored, [&] { check_cuda(pinned ? cudaFreeHost(memory) : cudaFree(memory), "cudaFree"); });
        },
    .write =
        [](CudaContext* context, void* to, const void* from, size_t bytes, CudaFailure* failure) {
          return on_device(context, failure, [&] {
            check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, context->stream()), "writing to the device");
            check_cuda(cudaStreamSynchronize(context->stream()), "writing to the device");
          });
        },
    .read =
        [](CudaContext* context, void* to, const void* from, size_t bytes, CudaFailure* failure) {
          return on_device(context, failure, [&] {
            check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, context->stream()), "reading from the device");
            check_cuda(cudaStreamSynchronize(context->stream()), "reading from the device");
          });
        },
    .check_op = [](CudaContext* context, size_t op, const Tensor* operands, const double* attributes, size_t* list_bytes, CudaFailure* failure) {
      return guarded(failure, [&] { *list_bytes = kOperations[op].check(operands, attributes, *context); });
    },
    .begin_run = [](CudaContext* context, CudaFailure* failure) { return on_device(context, failure, [&] { context->begin_run(); }); },
    .know_integers = [](CudaContext* context, const void* device, const int32_t* host,
                        CudaFailure* failure) { return guarded(failure, [&] { context->know_integers(device, host); }); },
    .upload = [](CudaContext* context, void* to, const void* from, size_t bytes,
                 CudaFailure* failure) { return on_device(context, failure, [&] { context->upload(to, from, bytes); }); },
    .run_op =
        [](CudaContext* context, size_t op, Queue queue, const Tensor* operands, const double* attributes, CudaFailure* failure) {
          return guarded(failure, [&] {
            context->use(queue);
            try {
              kOperations[op].run(operands, attributes, *context);
            } catch (const Error& error) {
              throw Error(error.code(), std::string(kOperations[op].name) + ": " + error.what());
            }
          });
        },
    .record = [](CudaContext* context, Queue queue, size_t event, CudaFailure* failure) { return guarded(failure, [&] { context->record(queue, event); }); },
    .wait = [](CudaContext* context, Queue queue, size_t event, CudaFailure* failure) { return guarded(failure, [&] { context->wait(queue, event); }); },
    .download = [](CudaContext* context, void* to, const void* from, size_t bytes,
                   CudaFailure* failure) { return on_device(context, failure, [&] { context->download(to, from, bytes); }); },
    .finish_run = [](CudaContext* context, CudaFailure* failure) { return on_device(context, failure, [&] { context->finish_run(); }); },
    .measure =
        [](CudaContext* context, Ceiling ceiling, bool small, double* rate, CudaFailure* failure) {
          return on_device(context, failure, [&] { *rate = cuda::measure_ceiling(*context, ceiling, small); });
        },
};

}  // namespace
}  // namespace limo

extern "C" __attribute__((visibility("default"))) const limo::CudaApi* limo_cuda_api() { return &limo::kApi; }
