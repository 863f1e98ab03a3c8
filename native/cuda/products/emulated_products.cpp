#include "cuda/context.h"
#include "cuda/products/plain_products.h"
#include "cuda/products/products.h"

namespace limo {
namespace {

class EmulatedProducts : public MatrixProducts {
 public:
  explicit EmulatedProducts(const CudaContext& context) : context_(context) {}
  void multiply(const Product& product) override { cuda::multiply_plainly(context_, product); }
  std::string description() const override { return find_matrix_products(); }

 private:
  const CudaContext& context_;
};

}  // namespace

std::string find_matrix_products() { return "products by the emulator"; }

std::unique_ptr<MatrixProducts> open_matrix_products(CudaContext& context) { return std::make_unique<EmulatedProducts>(context); }

}  // namespace limo
