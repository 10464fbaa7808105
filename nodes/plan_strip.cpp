#include "nodes/plan_strip.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "native/base/error.h"
#include "nodes/canvas.h"
#include "nodes/report_json.h"

namespace asdm::nodes {
namespace {

using nlohmann::json;

/// What a cell shows: the letter of docs/report.md, its words and its colour. The colours differ in lightness too, so
/// that they can be told apart without seeing hues.
struct Action {
  char letter;
  const char* words;
  Colour colour;
};
constexpr std::array<Action, 5> kActions = {{
    {'c', "computed", {0.11F, 0.27F, 0.53F}},
    {'i', "inherited", {0.97F, 0.74F, 0.25F}},
    {'f', "forecast", {0.27F, 0.68F, 0.55F}},
    {'-', "not run", {0.90F, 0.91F, 0.93F}},
    {'h', "run by the host", {0.62F, 0.47F, 0.74F}},
}};

const Action& action_of(char letter) {
  const auto found = std::find_if(kActions.begin(), kActions.end(),
                                  [&](const Action& action) { return action.letter == letter; });
  if (found == kActions.end()) {
    throw internal_fault("ASDMReport", std::string("the run report has the unknown action '") + letter + "'");
  }
  return *found;
}

// All sizes in pixels.
constexpr int64_t kMargin = 12;
constexpr int64_t kRowHeight = kTextHeight + 6;
constexpr int64_t kLineHeight = kTextHeight + 10;
constexpr int64_t kGridWidth = 960;  // that a long run is squeezed into
constexpr int64_t kMaxShown = 480;   // evaluations; behind these cells would vanish
constexpr int64_t kMinCell = 2;
constexpr int64_t kMaxCell = 26;
constexpr int64_t kTick = 5;  // every fifth evaluation has its number above it

struct Row {
  std::string address;
  std::string actions;  ///< one letter per evaluation
};

struct Strip {
  std::vector<Row> rows;
  int64_t evaluations = 0;  ///< shown
  std::string title;
  std::string sigmas;
};

std::string decimal(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.3g", value);
  return buffer;
}

Strip read_strip(const json& report) {
  Strip strip;
  const auto evaluations = report.at("evaluations").get<int64_t>();
  strip.evaluations = std::min(evaluations, kMaxShown);
  for (const json& row : report.at("addresses")) {
    Row read{row.at("address").get<std::string>(), row.at("actions").get<std::string>()};
    if (static_cast<int64_t>(read.actions.size()) != evaluations) {
      throw internal_fault("ASDMReport", "a row of the run report lacks evaluations: " + read.address);
    }
    read.actions.resize(static_cast<size_t>(strip.evaluations));
    strip.rows.push_back(std::move(read));
  }
  strip.title = std::to_string(evaluations) + " evaluations: " + std::to_string(report.at("full").get<int64_t>()) +
                " full, " + std::to_string(report.at("inherited").get<int64_t>()) + " inherited";
  if (evaluations > strip.evaluations) {
    strip.title += " (the first " + std::to_string(strip.evaluations) + " shown)";
  }
  const auto sigmas = report.at("sigmas").get<std::vector<double>>();
  if (!sigmas.empty()) {
    strip.sigmas = "sigma " + decimal(sigmas.front()) + " to " + decimal(sigmas.back());
  }
  return strip;
}

/// Where the parts of the picture lie.
struct Layout {
  int64_t cell = 0;
  int64_t grid_left = 0;
  int64_t grid_top = 0;
  int64_t legend_top = 0;
  int64_t width = 0;
  int64_t height = 0;
};

int64_t legend_width() {
  int64_t width = 0;
  for (const Action& action : kActions) {
    width += kTextHeight + kAdvance / 2 + text_width(action.words) + 2 * kAdvance;
  }
  return width;
}

Layout lay_out(const Strip& strip) {
  Layout layout;
  int64_t labels = 0;
  for (const Row& row : strip.rows) {
    labels = std::max(labels, text_width(row.address));
  }
  layout.cell = std::clamp(kGridWidth / std::max<int64_t>(strip.evaluations, 1), kMinCell, kMaxCell);
  layout.grid_left = kMargin + labels + kAdvance;
  layout.grid_top = kMargin + 2 * kLineHeight;
  layout.legend_top = layout.grid_top + static_cast<int64_t>(strip.rows.size()) * kRowHeight + kLineHeight / 2;
  layout.width = std::max({layout.grid_left + strip.evaluations * layout.cell, kMargin + legend_width(),
                           kMargin + text_width(strip.title + "   " + strip.sigmas)}) +
                 kMargin;
  layout.height = layout.legend_top + kLineHeight + kMargin / 2;
  return layout;
}

void draw_grid(Canvas& canvas, const Strip& strip, const Layout& layout) {
  for (int64_t i = 0; i < strip.evaluations; i += kTick) {
    canvas.text(layout.grid_left + i * layout.cell, layout.grid_top - kLineHeight + 4, std::to_string(i));
  }
  int64_t top = layout.grid_top;
  for (const Row& row : strip.rows) {
    canvas.text(kMargin, top + 2, row.address);
    int64_t left = layout.grid_left;
    for (const char letter : row.actions) {
      canvas.fill(left, top, layout.cell - 1, kRowHeight - 1, action_of(letter).colour);
      left += layout.cell;
    }
    top += kRowHeight;
  }
}

void draw_legend(Canvas& canvas, const Layout& layout) {
  int64_t left = kMargin;
  for (const Action& action : kActions) {
    canvas.fill(left, layout.legend_top, kTextHeight, kTextHeight, action.colour);
    left += kTextHeight + kAdvance / 2;
    canvas.text(left, layout.legend_top, action.words);
    left += text_width(action.words) + 2 * kAdvance;
  }
}

Image message(const std::string& text) {
  Canvas canvas(text_width(text) + 2 * kMargin, kLineHeight + 2 * kMargin);
  canvas.text(kMargin, kMargin + 5, text);
  return canvas.take();
}

Image draw(const Strip& strip) {
  const Layout layout = lay_out(strip);
  Canvas canvas(layout.width, layout.height);
  canvas.text(kMargin, kMargin, strip.title + "   " + strip.sigmas);
  draw_grid(canvas, strip, layout);
  draw_legend(canvas, layout);
  return canvas.take();
}

}  // namespace

Image plan_strip(std::string_view report_json) {
  return read_report(report_json, [](const json& report) {
    if (!found_run(report)) {
      return message(kNoRun);
    }
    const Strip strip = read_strip(report);
    return strip.evaluations == 0 ? message("the run made no evaluation") : draw(strip);
  });
}

}  // namespace asdm::nodes
