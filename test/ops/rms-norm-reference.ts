type Numbers = ArrayLike<number>

/** out = x · rstd · weight for each row of weight.length numbers, in double. Of head_norm a row is a head. */
export function rmsNorm(x: Numbers, weight: Numbers, eps: number): { out: Float64Array; rstd: Float64Array } {
  const columns = weight.length
  const out = new Float64Array(x.length)
  const rstd = new Float64Array(x.length / columns)
  for (let row = 0; row < rstd.length; row++) {
    let squares = 0
    for (let c = 0; c < columns; c++) squares += x[row * columns + c]! ** 2
    rstd[row] = 1 / Math.sqrt(squares / columns + eps)
    for (let c = 0; c < columns; c++) out[row * columns + c] = x[row * columns + c]! * rstd[row]! * weight[c]!
  }
  return { out, rstd }
}

/** The formulas of rms_norm_backward in double, with the sum of the sizes of what is added up, for the bounds. */
export function rmsNormBackward(dOut: Numbers, x: Numbers, rstd: Numbers, weight: Numbers, dSum?: Numbers) {
  const columns = weight.length
  const dX = new Float64Array(x.length)
  const dXSizes = new Float64Array(x.length)
  const dWeight = new Float64Array(columns)
  const dWeightSizes = new Float64Array(columns)
  for (let row = 0; row < rstd.length; row++) {
    const r = rstd[row]!
    let mean = 0
    let meanSize = 0
    for (let c = 0; c < columns; c++) {
      const i = row * columns + c
      mean += (dOut[i]! * weight[c]! * x[i]! * r) / columns
      meanSize += Math.abs(dOut[i]! * weight[c]! * x[i]! * r) / columns
      dWeight[c]! += dOut[i]! * x[i]! * r
      dWeightSizes[c]! += Math.abs(dOut[i]! * x[i]! * r)
    }
    for (let c = 0; c < columns; c++) {
      const i = row * columns + c
      dX[i] = r * (dOut[i]! * weight[c]! - x[i]! * r * mean) + (dSum?.[i] ?? 0)
      dXSizes[i] = r * (Math.abs(dOut[i]! * weight[c]!) + Math.abs(x[i]! * r) * meanSize) + Math.abs(dSum?.[i] ?? 0)
    }
  }
  return { dX, dXSizes, dWeight, dWeightSizes }
}
