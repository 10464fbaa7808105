#include "nodes/report_table.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include <nlohmann/json.hpp>

#include "native/base/error.h"

namespace asdm::nodes {
namespace {

using nlohmann::json;

constexpr size_t kLabelWidth = 22;
constexpr size_t kCountWidth = 11;

std::string decimal(double value, int digits) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  return buffer;
}

std::string count(const json& value) { return std::to_string(value.get<int64_t>()); }

std::string line(const std::string& label, const std::string& value) {
  std::string out = label;
  out.append(kLabelWidth - std::min(kLabelWidth, label.size()), ' ');
  return out + value + "\n";
}

std::string right(const std::string& text) {
  return std::string(kCountWidth - std::min(kCountWidth, text.size()), ' ') + text;
}

/// "3 (sigma jump: 2, missing: 1)"
std::string total_with_reasons(int64_t total, const json& reasons) {
  std::vector<std::string> parts;
  for (const auto& item : reasons.items()) {
    parts.push_back(item.key() + ": " + count(item.value()));
  }
  std::string out = std::to_string(total);
  if (!parts.empty()) {
    out.append(" (").append(join(parts)).append(")");
  }
  return out;
}

int64_t sum(const json& counts) {
  int64_t total = 0;
  for (const auto& item : counts.items()) {
    total += item.value().get<int64_t>();
  }
  return total;
}

std::string bytes_text(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB"};
  size_t unit = 0;
  while (bytes >= 1024.0 && unit + 1 < std::size(units)) {
    bytes /= 1024.0;
    ++unit;
  }
  return decimal(bytes, unit == 0 ? 0 : 1) + " " + units[unit];
}

std::string summary(const json& report) {
  std::string out;
  out += line("evaluations", count(report.at("evaluations")) + " (" + count(report.at("full")) + " full, " +
                                 count(report.at("inherited")) + " inherited)");
  out += line("native calls", count(report.at("native_calls")));
  out += line("fallback calls",
              total_with_reasons(report.at("fallback_calls").get<int64_t>(), report.at("fallback_reasons")));
  out += line("forced refreshes", total_with_reasons(sum(report.at("forced_refreshes")),
                                                     report.at("forced_refreshes")));
  out += line("sampling", decimal(report.at("seconds").get<double>(), 2) + " s, of it " +
                              decimal(report.at("seconds_in_unet").get<double>(), 2) + " s in the UNet");
  const json& saved = report.at("seconds_saved");
  out += line("saved", saved.is_null() ? "not measured" : decimal(saved.get<double>(), 2) + " s");
  out += line("UNet MACs computed", decimal(100.0 * report.at("mac_share").get<double>(), 1) + " %");
  out += line("stored features", bytes_text(report.at("cache_bytes").get<double>()));
  const auto sites = report.at("sites").get<std::vector<std::string>>();
  out += line("sites", sites.empty() ? "none" : join(sites));
  return out;
}

std::string address_rows(const json& addresses) {
  std::string out = line("address", right("computed") + right("inherited") + right("not run"));
  for (const json& row : addresses) {
    out += line(row.at("address").get<std::string>(),
                right(count(row.at("computed"))) + right(count(row.at("inherited"))) + right(count(row.at("not_run"))));
  }
  return out;
}

}  // namespace

std::string report_table(std::string_view report_json) {
  try {
    const json report = json::parse(report_json.begin(), report_json.end());
    if (!report.at("found").get<bool>()) {
      return "no run of this model made this latent: connect the MODEL that the sampler used and the LATENT it gave\n";
    }
    std::string out = summary(report);
    if (!report.at("addresses").empty()) {
      out += "\n";
      out += address_rows(report.at("addresses"));
    }
    return out;
  } catch (const json::exception& error) {
    throw internal_fault("ASDMReport", std::string("the run report does not follow docs/report.md: ") + error.what());
  }
}

}  // namespace asdm::nodes
