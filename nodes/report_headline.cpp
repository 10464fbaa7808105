#include "nodes/report_headline.h"

#include <array>
#include <cstdio>

#include "nodes/report_json.h"

namespace asdm::nodes {
namespace {

using nlohmann::json;

/// Below it nobody would see a gain, and a loaded machine makes as much.
constexpr double kLeastGain = 1.05;
/// Evaluations of runs in which neighbours differ so much that reuse shows.
constexpr int64_t kFew = 10;

/// Against full steps of the same run; empty where there is nothing to compare.
std::string speed_text(const json& report) {
  const json& saved = report.at("seconds_saved");
  const double spent = report.at("seconds_in_unet").get<double>();
  if (saved.is_null() || spent <= 0.0) {
    return {};
  }
  const double times = (spent + saved.get<double>()) / spent;
  return times >= kLeastGain ? decimal(times, 1) + "x faster" : "not faster";
}

std::string steps_text(const json& report) {
  std::string text = std::to_string(report.at("full").get<int64_t>()) + " of " +
                     std::to_string(report.at("evaluations").get<int64_t>()) + " full";
  const auto idle = report.at("idle").get<int64_t>();
  return idle == 0 ? text : text + ", " + std::to_string(idle) + " without the UNet";
}

std::vector<std::string> parts_of(const json& report) {
  if (report.at("inherited").get<int64_t>() + report.at("idle").get<int64_t>() == 0) {
    return {"exact", steps_text(report), decimal(report.at("seconds_in_unet").get<double>(), 1) + " s in the UNet"};
  }
  std::vector<std::string> parts;
  if (const std::string speed = speed_text(report); !speed.empty()) {
    parts.push_back(speed);
  }
  parts.push_back(steps_text(report));
  if (const json& saved = report.at("seconds_saved"); !saved.is_null() && saved.get<double>() > 0.0) {
    parts.push_back(decimal(saved.get<double>(), 1) + " s saved");
  }
  parts.push_back(decimal(100.0 * report.at("mac_share").get<double>(), 0) + " % of the work");
  parts.push_back(bytes_text(report.at("cache_bytes").get<double>(), 0) + " kept");
  return parts;
}

std::vector<std::string> hints_of(const json& report) {
  std::vector<std::string> hints;
  const auto evaluations = report.at("evaluations").get<int64_t>();
  if (report.at("inherited").get<int64_t>() > 0 && evaluations < kFew) {
    hints.push_back("few steps (" + std::to_string(evaluations) +
                    "): neighbours differ much, so expect visible changes; 15 or more suit reuse");
  }
  if (const auto caches = report.at("other_caches").get<std::vector<std::string>>(); !caches.empty()) {
    hints.push_back(join(caches) +
                    " works on the same model: the two skip work independently, and errors add up; use "
                    "one of them");
  }
  return hints;
}

}  // namespace

std::vector<std::string> report_hints(std::string_view report_json) {
  return read_report(report_json, [](const json& report) { return hints_of(report); });
}

std::string decimal(double value, int digits) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  return buffer;
}

std::string bytes_text(double bytes, int digits) {
  constexpr std::array<const char*, 4> kUnits = {"B", "KiB", "MiB", "GiB"};
  size_t unit = 0;
  while (bytes >= 1024.0 && unit + 1 < kUnits.size()) {
    bytes /= 1024.0;
    ++unit;
  }
  return decimal(bytes, unit == 0 ? 0 : digits) + " " + kUnits[unit];
}

std::string report_headline(std::string_view report_json, const std::string& emphasis) {
  return read_report(report_json, [&](const json& report) {
    std::vector<std::string> parts = parts_of(report);
    parts.front() = emphasis + parts.front() + emphasis;
    return join(parts, " · ");
  });
}

}  // namespace asdm::nodes
