#include "fault_case.h"

// Missing waits between streams. The emulator says nothing of them: work that may run at another time does, by chance, so in some of
// several rounds the numbers are wrong.
namespace limo::cuda {
namespace {

constexpr int kThreads = 32;
constexpr int kRounds = 24;

__global__ void add_kernel(float* out, const float* in) { out[threadIdx.x] += in[threadIdx.x]; }

struct Streams {
  cudaStream_t compute, copy;
  cudaEvent_t computed, copied;
  Streams() {
    for (cudaStream_t* stream : {&compute, &copy}) check_cuda(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), "a stream");
    for (cudaEvent_t* event : {&computed, &copied}) check_cuda(cudaEventCreate(event), "an event");
  }
  void finish() const {
    for (cudaStream_t stream : {compute, copy}) check_cuda(cudaStreamSynchronize(stream), "the streams");
  }
};

// In each round a copy fills a buffer and a kernel adds it to a sum. `waits_for_copy`: the kernel waits for the copy; `waits_for_kernel`:
// the next copy waits for the kernel.
bool sums_are_right(bool waits_for_copy, bool waits_for_kernel) {
  const Streams s;
  float* const sum = to_device(std::vector<float>(kThreads));
  float* const buffer = to_device(std::vector<float>(kThreads));
  float* const source = to_device(ascending(kThreads * kRounds));
  float want = 0;
  check_cuda(cudaEventRecord(s.computed, s.compute), "an event");
  check_cuda(cudaEventRecord(s.copied, s.copy), "an event");
  for (int round = 0; round < kRounds; ++round) {
    if (waits_for_kernel) check_cuda(cudaStreamWaitEvent(s.copy, s.computed, 0), "a wait");
    check_cuda(cudaMemcpyAsync(buffer, source + round * kThreads, kThreads * sizeof(float), cudaMemcpyDefault, s.copy), "a copy");
    check_cuda(cudaEventRecord(s.copied, s.copy), "an event");
    if (waits_for_copy) check_cuda(cudaStreamWaitEvent(s.compute, s.copied, 0), "a wait");
    launch(add_kernel, 1, kThreads, 0, s.compute, sum, static_cast<const float*>(buffer));
    check_cuda(cudaEventRecord(s.computed, s.compute), "an event");
    want += static_cast<float>(round * kThreads);
  }
  s.finish();
  const std::vector<float> got = from_device(sum, kThreads);
  for (int i = 0; i < kThreads; ++i)
    if (got[static_cast<size_t>(i)] != want + static_cast<float>(kRounds * i)) return false;
  return true;
}

// The host reads what a stream writes, with or without waiting for it.
bool host_reads_right(bool waits) {
  const Streams s;
  float* const source = to_device(std::vector<float>(1, 1.0f));
  float* pinned;
  check_cuda(cudaHostAlloc(reinterpret_cast<void**>(&pinned), kRounds * sizeof(float), cudaHostAllocDefault), "pinned memory");
  for (int round = 0; round < kRounds; ++round) pinned[round] = 0;
  check_cuda(cudaEventRecord(s.copied, s.copy), "an event");
  for (int round = 0; round < kRounds; ++round)
    check_cuda(cudaMemcpyAsync(pinned + round, source, sizeof(float), cudaMemcpyDefault, s.copy), "a copy");
  if (waits) s.finish();
  bool right = true;
  for (int round = 0; round < kRounds; ++round) right = right && pinned[round] == 1;
  s.finish();
  return right;
}

constexpr FaultCase kCases[] = {
    {"missing-wait-for-a-copy", nullptr, [](bool faulty) { return sums_are_right(!faulty, true); }},
    {"missing-wait-before-a-copy", nullptr, [](bool faulty) { return sums_are_right(true, !faulty); }},
    {"missing-wait-of-the-host", nullptr, [](bool faulty) { return host_reads_right(!faulty); }},
};

}  // namespace

std::span<const FaultCase> stream_faults() { return kCases; }

}  // namespace limo::cuda
