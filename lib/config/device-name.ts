export type BackendName = 'cpu' | 'cuda'

/** A device among those that the addon can open (native/runtime/backends.cpp). */
export type DeviceOpening = { kind: 'cpu' } | { kind: 'cuda' | 'cuda-emulated'; ordinal: number }

interface DeviceNames {
  backend: BackendName
  pattern: RegExp
  /** `number`: what the pattern's group has found. */
  opening: (number: string | undefined) => DeviceOpening
}

const deviceNames: readonly DeviceNames[] = [
  { backend: 'cpu', pattern: /^cpu$/, opening: () => ({ kind: 'cpu' }) },
  { backend: 'cuda', pattern: /^cuda(?::(\d{1,3}))?$/, opening: (number = '0') => ({ kind: 'cuda', ordinal: Number(number) }) },
  { backend: 'cuda', pattern: /^cuda-emulated$/, opening: () => ({ kind: 'cuda-emulated', ordinal: 0 }) },
]

/** What a device is called, as messages say it. */
export const expectedDevice = 'cpu, cuda or cuda:N'

/** The backend of a device by its name, `cpu`, `cuda`, `cuda:1` or `cuda-emulated`, and what opens it; undefined for another name. */
export function parseDeviceName(name: string): { backend: BackendName; opening: DeviceOpening } | undefined {
  for (const { backend, pattern, opening } of deviceNames) {
    const match = pattern.exec(name)
    if (match) return { backend, opening: opening(match[1]) }
  }
  return undefined
}
