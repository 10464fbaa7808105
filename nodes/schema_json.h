// All schemas as JSON: the build writes it beside the Python module, so that nodes appear even where that cannot load.
#pragma once

#include <string>

namespace asdm::nodes {

/// {"nodes": [{id, display_name, category, description, search_aliases, is_output_node, is_experimental,
///   tells_runs,
///   inputs: [{name, kind, tooltip, default?, min?, max?, step?, choices?, choices_folder?, choices_list?, multiline?,
///     control_after_generate?, when_missing?, optional?,
///     checked_early?, folded?, used_when?: [{input: [value]}]}],
///   outputs: [{name, kind, tooltip}]}]}. A key with "?" is there only where the input has it.
[[nodiscard]] std::string schemas_json();

}  // namespace asdm::nodes
