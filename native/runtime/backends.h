#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/device.h"

namespace limo {

// What a device is opened with; each kind reads what it has a use for.
struct DeviceOptions {
  uint64_t threads = 1;
  std::string isa;  // empty: the best of this processor
  uint64_t ordinal = 0;
};

// A kind of device that the addon can open. lib/native/backend.ts has their names as users write them.
struct DeviceKind {
  const char* name;
  // Throws kInputInvalid, kDeviceUnavailable.
  std::shared_ptr<Device> (*open)(const DeviceOptions&);
};

const std::vector<DeviceKind>& device_kinds();

}  // namespace limo
