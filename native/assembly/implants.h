// The parts of a student that are trained one by one inside the frozen teacher (Deep Incubation, arXiv 2212.04129, with
// the roles that A-SDM, arXiv 2406.00210, gives them: the teacher is the frozen surrounding).
#pragma once

#include <set>
#include <string>
#include <vector>

#include "native/format/unet_spec.h"

namespace asdm {

/// One such part: the encoder blocks of a resolution with the decoder blocks that take their skips. Removing the one
/// without the other leaves no legal UNet.
struct Implant {
  std::string name;              ///< "S0", counted from the latent's resolution; "S0+S1" where they cannot be parted
  UNetSpec hybrid;               ///< the full UNet less what the student lacks of this part, with its ME-CondConv
  std::set<std::string> blocks;  ///< addresses of the student's blocks in this part: these are trained
};

/// The implants of `student`, from the shallowest: as many as leave legal hybrids. None where it lacks nothing.
[[nodiscard]] std::vector<Implant> implants_of(const UNetSpec& student);

}  // namespace asdm
