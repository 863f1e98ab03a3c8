#pragma once

namespace limo {

// Measured ceilings of a device's operations.
enum class Ceiling : int {
  kMultiplyAdd,      // floating-point operations a second in float32 multiply-adds
  kBf16MultiplyAdd,  // the same of bfloat16 numbers, summed in float32
  kUpdate,           // bytes a second of z ← z/2 + x over arrays far larger than the caches, 12 for each element
  kRead,             // bytes a second of summing an array far larger than the caches
};

}  // namespace limo
