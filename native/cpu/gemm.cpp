#include "cpu/gemm.h"

// Cache blocking of a matrix product (MC, KC and NC of Goto and van de Geijn) and its partition among threads.
namespace limo::LIMO_ISA {
namespace {

// KC and NC, in units of 4 bytes: a packed block of B (kBlockK × about kBlockN, half a megabyte) stays in L2 while rows of A stream past
// it.
constexpr int64_t kBlockK = 512;
constexpr int64_t kBlockN = 240;
// NC is a multiple of the tile's columns.
template <class U>
constexpr int64_t kBlockCols = (kBlockN + kTileCols<U> - 1) / kTileCols<U> * kTileCols<U>;
constexpr int64_t kMostBlockCols = 256;
// MC: rows of A that share one packed block of B. Packing costs about 1/kBlockM of the product.
constexpr int64_t kBlockM = 768;
// Columns of a task where A has to be packed as well: one packed block of A serves them all.
constexpr int64_t kManyCols = 1152;

// A thread's working memory: packed B, packed A, and float32 partial sums of a task whose result is bfloat16.
constexpr int64_t kPackedB = kBlockK * kMostBlockCols;
constexpr int64_t kCopiedA = kBlockK * kBlockM;
constexpr int64_t kPartialSums = kBlockM * kManyCols;
static_assert(kBlockCols<float> <= kMostBlockCols && kBlockCols<Pair> <= kMostBlockCols);
static_assert((kPackedB + kCopiedA + kPartialSums) * 4 <= kScratchForProducts);

// Whether A has to be packed: it is transposed, or its elements are no units.
template <class In, class Out>
LIMO_INLINE bool copies_a(const Gemm<In, Out>& g) {
  return g.a_k_stride != 1 || !reads_in_place<In>(g.a_row_stride, g.k);
}

template <class In, class Out, class U = Unit<In>>
BlockOfA<U> prepare_a(const Gemm<In, Out>& g, U* room, int64_t row, int64_t rows, int64_t k_start, int64_t k) {
  const In* a = g.a + row * g.a_row_stride + k_start * g.a_k_stride;
  if (!copies_a(g)) return read_rows(a, g.a_row_stride, rows, k, room);
  if (g.a_k_stride == 1) {
    copy_rows(room, a, g.a_row_stride, rows, k);
    return {room, units_of<U>(k), 1};
  }
  copy_transposed(room, a, g.a_k_stride, rows, k);
  return transposed_rows(room, rows, k);
}

// Partition of a product into tasks of `rows` rows and `cols` columns, the columns in blocks of `col_block`.
struct Tasks {
  int64_t rows, cols, col_block, row_tasks, col_tasks;
};

// Cost model: multiply-adds per k on the critical path of a partition. Packing a column of B costs as much as multiplying it by
// kPackingRows rows; packing a row of A as much as multiplying it by kCopyingCols columns.
double estimate_time(const Tasks& tasks, int64_t n, bool copies, int64_t threads) {
  constexpr double kPackingRows = 24, kCopyingCols = 17;
  const double rows = static_cast<double>(tasks.rows), cols = static_cast<double>(tasks.cols);
  const double task = rows * cols + kPackingRows * cols + (copies ? kCopyingCols * rows : 0);
  // Tasks of the same columns follow each other. If row tasks divide evenly among threads, only full columns count and the last task may be
  // narrower.
  if (tasks.row_tasks % threads == 0) return static_cast<double>(tasks.row_tasks / threads) * static_cast<double>(n) / cols * task;
  return static_cast<double>(blocks_of(tasks.row_tasks * tasks.col_tasks, threads)) * task;
}

// The partition of least cost: large tasks pack least, but few of them leave threads idle.
template <class In, class Out>
Tasks share_out(const Gemm<In, Out>& g, int64_t threads) {
  using U = Unit<In>;
  constexpr int64_t kTileRows = Tile<U>::kRows, kMostRows = kBlockM / kTileRows * kTileRows;
  // Few blocks: all of about the same size. Many blocks: whole tiles, with a remainder at the end.
  const int64_t even = even_piece(g.n, kBlockCols<U>), step = g.n <= 8 * kBlockCols<U> ? kLanes : kTileCols<U>;
  const int64_t col_block = blocks_of(even, step) * step, col_blocks = blocks_of(g.n, col_block);
  const bool copies = copies_a(g);
  const int64_t most_blocks_per_task = copies ? smaller(col_blocks, kManyCols / col_block) : 1;
  Tasks best = {};
  double best_time = 0;
  for (int64_t blocks_per_task = 1; blocks_per_task <= most_blocks_per_task; ++blocks_per_task) {
    const int64_t cols = even_piece(col_blocks, blocks_per_task) * col_block, fewest = blocks_of(g.m, kMostRows);
    int64_t last_rows = 0;
    for (int64_t blocks = fewest; blocks < fewest + 4 * threads; ++blocks) {
      const int64_t rows = blocks_of(blocks_of(g.m, blocks), kTileRows) * kTileRows;
      if (rows == last_rows) continue;  // cut already
      last_rows = rows;
      const Tasks tasks = {rows, cols, col_block, blocks_of(g.m, rows), blocks_of(g.n, cols)};
      const double time = estimate_time(tasks, g.n, copies, threads);
      if (best_time == 0 || time < best_time) best = tasks, best_time = time;
    }
  }
  return best;
}

// A block of B, to be prefetched.
template <class In, class Out>
Prefetch block_of_b(const Gemm<In, Out>& g, int64_t k_start, int64_t k, int64_t col, int64_t cols) {
  constexpr int64_t kBytes = sizeof(In);
  if (k <= 0) return {};
  const char* const first = reinterpret_cast<const char*>(g.b + k_start * g.b_k_stride + col * g.b_col_stride);
  if (g.b_col_stride == 1) return {first, g.b_k_stride * kBytes, k, cols * kBytes};
  return {first, g.b_col_stride * kBytes, cols, k * kBytes};
}

template <class In, class Out>
void run_gemm(const Gemm<In, Out>& g, const CpuContext& context) {
  using U = Unit<In>;
  constexpr bool kRounds = !std::is_same_v<Out, float>;
  if (g.m == 0 || g.n == 0) return;
  // Blocks of k depend on the shape alone: they fix the order of every sum. The partition of rows and columns may depend on the number of
  // threads: an element is summed in the same order in whichever task it falls.
  const int64_t units = units_of<U>(g.k);
  const int64_t k_blocks = units == 0 ? 1 : blocks_of(units, kBlockK);
  // A multiple of 16, the side of the squares that packing transposes.
  const int64_t k_block = blocks_of(blocks_of(units, k_blocks), 16) * 16 * kPerUnit<U>;
  const Tasks tasks = share_out(g, context.pool.threads());

  parallel_for(context.pool, tasks.row_tasks * tasks.col_tasks, [&](int64_t task, int thread) {
    // Consecutive tasks share a block of the larger operand, which then comes from cache.
    const int64_t row = (g.m > g.n ? task / tasks.col_tasks : task % tasks.row_tasks) * tasks.rows;
    const int64_t first_col = (g.m > g.n ? task % tasks.col_tasks : task / tasks.row_tasks) * tasks.cols;
    const int64_t rows = smaller(tasks.rows, g.m - row), end_col = smaller(first_col + tasks.cols, g.n);
    U* const packed_b = reinterpret_cast<U*>(context.thread_scratch(thread));
    U* const packed_a = packed_b + kPackedB;
    // A result in bfloat16 is summed in float32 and rounded once, with the last block of k.
    float* const partial = reinterpret_cast<float*>(packed_a + kCopiedA);
    for (int64_t block = 0; block < k_blocks; ++block) {
      const int64_t k_start = block * k_block, k = smaller(k_block, g.k - k_start);
      const BlockOfA<U> a = prepare_a(g, packed_a, row, rows, k_start, k);
      for (int64_t col = first_col; col < end_col; col += tasks.col_block) {
        const int64_t cols = smaller(tasks.col_block, end_col - col);
        pack_b(packed_b, g.b + k_start * g.b_k_stride + col * g.b_col_stride, g.b_k_stride, g.b_col_stride, k, cols);
        // Prefetch the next block of B: the next columns, or the first columns of the next k.
        const bool last_cols = col + tasks.col_block >= end_col;
        const int64_t next_col = last_cols ? first_col : col + tasks.col_block, next_k = last_cols ? k_start + k : k_start;
        const int64_t prefetch_k = smaller(k_block, g.k - next_k), prefetch_cols = smaller(tasks.col_block, end_col - next_col);
        const Prefetch prefetch = block_of_b(g, next_k, prefetch_k, next_col, prefetch_cols);
        const Out* const bias = g.bias ? g.bias + col : nullptr;
        Out* const c = g.c + row * g.c_stride + col;
        const auto multiply = [&](auto* to, int64_t stride, const float* addend, int64_t addend_stride, auto* offset) {
          multiply_packed(PackedProduct<U, std::remove_reference_t<decltype(*to)>>{
              .m = rows, .n = cols, .k = units_of<U>(k), .a = a.a, .a_row_stride = a.row_stride, .a_k_stride = a.k_stride,
              .packed_b = packed_b, .c = to, .c_stride = stride, .addend = addend, .addend_stride = addend_stride, .bias = offset,
              .prefetch = prefetch});
        };
        if constexpr (kRounds) {
          float* const sums = partial + (col - first_col);
          const float* const addend = block > 0 ? sums : nullptr;
          if (block + 1 < k_blocks) multiply(sums, tasks.cols, addend, tasks.cols, static_cast<const float*>(nullptr));
          else multiply(c, g.c_stride, addend, tasks.cols, bias);
        } else {
          multiply(c, g.c_stride, g.accumulate || block > 0 ? c : nullptr, g.c_stride, block == 0 ? bias : nullptr);
        }
      }
    }
  });
}

}  // namespace

void gemm(const Gemm<float, float>& product, const CpuContext& context) { run_gemm(product, context); }
void gemm(const Gemm<Bf16, float>& product, const CpuContext& context) { run_gemm(product, context); }
void gemm(const Gemm<Bf16, Bf16>& product, const CpuContext& context) { run_gemm(product, context); }

}  // namespace limo::LIMO_ISA
