/** The exit code of a run that Ctrl-C ended. */
export const INTERRUPTED = 130

export interface Interruption {
  signal: AbortSignal
  onFirst(callback: () => void): void
  onSecond(callback: () => void): void
  /** Leaves the signals to the process again. */
  stop(): void
}

/** The first Ctrl-C aborts the signal, the second ends the process. */
export function listenForInterrupt(): Interruption {
  const controller = new AbortController()
  let announce = () => {}
  let tidyUp = () => {}
  const onSignal = () => {
    if (controller.signal.aborted) {
      tidyUp()
      process.exit(INTERRUPTED)
    }
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
