// Prints the best instruction set of this processor that there are kernels for: a program of its own, which CMake compiles and runs to
// choose what to build. Hence the .cpp.
#include <cstdio>

#include "runtime/isa.cpp"

int main() {
  const char* best = "portable";
  for (limo::Isa isa : limo::kAllIsas)
    if (limo::isa_supported(isa)) best = limo::isa_name(isa);
  std::printf("%s", best);
}
