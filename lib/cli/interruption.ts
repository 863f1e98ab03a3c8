/** The exit code of a run that Ctrl-C ended. */
export const INTERRUPTED = 130

export interface Interruption {
  signal: AbortSignal
  onFirst(callback: () => void): void
  onSecond(callback: () => void): void
  /** Leaves the signals to the process again. */
  stop(): void
}

/**
 * One press reaches the process more than once where npx, timeout, docker --init or a wrapper passes it on to the process and to its group:
 * what comes so soon is the same one.
 */
const SAME_PRESS_MS = 500

/**
 * The first Ctrl-C or SIGTERM aborts the signal, a second Ctrl-C ends the process. A second SIGTERM does not: whoever sends it wants an end,
 * not that what was done is lost.
 */
export function listenForInterrupt(): Interruption {
  const controller = new AbortController()
  let announce = () => {}
  let tidyUp = () => {}
  let firstAt = 0
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      if (name === 'SIGTERM' || performance.now() - firstAt < SAME_PRESS_MS) return
      tidyUp()
      process.exit(INTERRUPTED)
    }
    firstAt = performance.now()
    controller.abort()
    announce()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return {
    signal: controller.signal,
    onFirst(callback: () => void) {
      announce = callback
    },
    onSecond(callback: () => void) {
      tidyUp = callback
    },
    stop() {
      process.off('SIGINT', onSignal)
      process.off('SIGTERM', onSignal)
    },
  }
}
