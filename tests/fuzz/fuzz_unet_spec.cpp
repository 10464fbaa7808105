// A UNetSpec as a file's metadata brings it: JSON, and the layout that follows from it.
#include "native/format/unet_layout.h"
#include "native/format/unet_spec.h"
#include "tests/fuzz/fuzzed.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  asdm::fuzzing::refuses_or([&] {
    const asdm::UNetSpec spec = asdm::spec_from_json(text);
    asdm::fuzzing::require(asdm::spec_from_json(asdm::to_json(spec)) == spec,
                           "a UNetSpec written and read is the same");
    asdm::fuzzing::require(!asdm::make_layout(spec).empty(), "a valid UNetSpec has a layout");
  });
  return 0;
}
