// A plan as a workflow, a picture or a user brings it: JSON.
#include "native/format/plan.h"
#include "tests/fuzz/fuzzed.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  asdm::fuzzing::refuses_or([&] {
    const asdm::Plan plan = asdm::plan_from_json(text);
    asdm::fuzzing::require(asdm::plan_from_json(asdm::to_json(plan)) == plan, "a plan written and read is the same");
  });
  return 0;
}
