#pragma once

#include <cstddef>

namespace limo {

// Operations of a queue run one after the other; those of different queues at the same time, but for what they wait for.
enum class Queue { kCompute, kCopy, kCommunication };
constexpr size_t kQueues = 3;

}  // namespace limo
