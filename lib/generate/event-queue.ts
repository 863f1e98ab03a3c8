import type { EngineEnd } from './sequence.js'

/** A queue of the engine's events for an asynchronous reader. */
export class EventQueue<Event> {
  result: EngineEnd | undefined
  #events: Event[] = []
  #wake = () => {}

  push(event: Event): void {
    this.#events.push(event)
    this.#wake()
  }

  end(result: EngineEnd): void {
    this.result = result
    this.#wake()
  }

  async *read(): AsyncGenerator<Event, void, void> {
    for (;;) {
      const events = this.#events
      this.#events = []
      yield* events
      if (this.#events.length > 0) continue
      if (this.result !== undefined) return
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
