import { setImmediate } from 'node:timers/promises'

/** Lets the event loop run every 50 ms of a long loop, so that a signal arrives. */
export class Pauses {
  private pausedAt = performance.now()

  constructor(private readonly signal: AbortSignal | undefined) {}

  get isDue(): boolean {
    return performance.now() - this.pausedAt > 50
  }

  /** Throws the signal's reason. */
  async pause(): Promise<void> {
    await setImmediate()
    this.signal?.throwIfAborted()
    this.pausedAt = performance.now()
  }
}
