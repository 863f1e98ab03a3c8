#pragma once

#include "cpu/tile.h"

#if defined(__AMX_BF16__)

// Intel's AMX: eight tile registers of up to 16 rows of 64 bytes. One instruction adds to the 16 × 16 float32 of one the product of 16
// rows of A with 16 columns of B for 16 units of k, which is 16 times what an instruction on vectors multiplies. Here registers 0 … 3 hold
// sums, of two tiles of rows by two of columns; 4 and 5 rows of A; 6 and 7 columns of B, [units][columns], as panels have them.
namespace limo::LIMO_ISA {

constexpr int kAmxRows = 16, kAmxUnits = kUnitsTogether<Pair>;
static_assert(kAmxUnits == 16 && kLanes == 16 && Tile<Pair>::kRows == 2 * kAmxRows && Tile<Pair>::kVectors == 2);

// While it lives, the registers have these shapes: `upper` and `lower` rows in the two tiles of rows.
class AmxTiles {
 public:
  LIMO_INLINE AmxTiles() {}
  LIMO_INLINE ~AmxTiles() { _tile_release(); }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;

  // Clears the registers, if anything changes.
  LIMO_INLINE void set_rows(int64_t upper, int64_t lower) {
    if (upper == upper_ && lower == lower_) return;
    upper_ = upper, lower_ = lower;
    struct {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {};
    } shapes;
    static_assert(sizeof shapes == 64);
    const uint8_t up = static_cast<uint8_t>(upper), low = static_cast<uint8_t>(lower);
    const uint8_t rows[8] = {up, up, low, low, up, low, kAmxUnits, kAmxUnits};
    __builtin_memcpy(shapes.rows, rows, sizeof rows);
    write_memory();
    _tile_loadconfig(&shapes);
  }

  // gcc's loads do not say that they read memory: what was stored must be stored before.
  static LIMO_INLINE void write_memory() { __asm__ volatile("" ::: "memory"); }

 private:
  int64_t upper_ = 0, lower_ = 0;
};

}  // namespace limo::LIMO_ISA

#endif
