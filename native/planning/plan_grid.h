// A plan as a grid of blocks by evaluations, for whoever edits one: what each cell does, what all of it costs, and how
// cells are changed. Whatever the grid has no row for stays in the plan as it is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "native/format/plan.h"
#include "native/planning/cost.h"

namespace asdm {

/// A block, and the site that inherits it.
struct GridRow {
  std::string address;
  std::string site;  ///< the address; of the last block "out", as its value is that of the whole UNet
};

/// One evaluation.
struct GridColumn {
  double sigma = 0.0;
  std::string actions;              ///< for each row c computed, p computed in part, i inherited, - not run
  std::vector<std::string> sites;   ///< those of the plan that are sites of rows
  std::vector<std::string> others;  ///< those that are not
  bool is_refreshed = false;        ///< it was to inherit, but nothing before it computed what it names
};

struct PlanGrid {
  std::vector<GridRow> rows;  ///< from the output to the input
  std::vector<GridColumn> columns;
  double share = 1.0;  ///< of the multiply-accumulates of a run without inheritance, as reports of runs count it
};

/// Of a run that follows `plan` on this UNet, with cond and uncond in one call. Throws Error where settings_of() would.
[[nodiscard]] PlanGrid plan_grid(const Plan& plan, const Topology& topology, const UNetSpec& spec,
                                 const CallSize& size);

/// `plan`, of which the evaluation `index` inherits at `site`, that of a row, or no longer does. Sites of rows that are
/// in the way of a new one, or that nobody asks for beside it, go. Throws Error where sites that are none of rows
/// decide about the cell.
[[nodiscard]] Plan painted(Plan plan, const Topology& topology, const UNetSpec& spec, size_t index,
                           const std::string& site, bool inherits);

/// A plan of `steps` evaluations to begin with: one in three is full, the others inherit what suits the UNet. Nobody
/// knows their sigmas, which are 0.
[[nodiscard]] Plan begun_plan(const Topology& topology, const UNetSpec& spec, int64_t steps);

}  // namespace asdm
