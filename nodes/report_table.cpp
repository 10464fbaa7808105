#include "nodes/report_table.h"

#include <algorithm>
#include <vector>

#include "native/base/error.h"
#include "nodes/report_headline.h"
#include "nodes/report_json.h"

namespace asdm::nodes {
namespace {

using nlohmann::json;

using Row = std::vector<std::string>;

std::string count(const json& value) { return std::to_string(value.get<int64_t>()); }

enum class Align { kLeft, kRight };

std::string padded(const std::string& text, size_t width, Align align) {
  const std::string space(width - std::min(width, text.size()), ' ');
  return align == Align::kLeft ? text + space : space + text;
}

/// A Markdown table, its columns padded: the front end's Preview Any renders Markdown, and plain text stays readable.
/// `rows` begins with the header; the first column is aligned left, the others as `others`.
std::string table(const std::vector<Row>& rows, Align others) {
  std::vector<size_t> widths(rows.front().size(), 3);
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string out;
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t i = 0; i < widths.size(); ++i) {
      out.append("| ").append(padded(rows[r][i], widths[i], i == 0 ? Align::kLeft : others)).append(" ");
    }
    out += "|\n";
    if (r == 0) {
      for (size_t i = 0; i < widths.size(); ++i) {
        const bool right = i > 0 && others == Align::kRight;
        out.append("| ").append(right ? widths[i] - 1 : widths[i], '-').append(right ? ": " : " ");
      }
      out += "|\n";
    }
  }
  return out;
}

/// A bar would end the cell.
std::string in_cell(std::string text) {
  std::replace(text.begin(), text.end(), '|', '/');
  return text;
}

/// "3 (sigma jump: 2, missing: 1)", or with `unit` " calls" "3 calls (...)".
std::string total_with_reasons(int64_t total, const json& reasons, const std::string& unit = "") {
  std::vector<std::string> parts;
  for (const auto& item : reasons.items()) {
    parts.push_back(in_cell(item.key()) + ": " + count(item.value()));
  }
  std::string out = std::to_string(total) + unit;
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

/// "0.52 s in 3 places: in.1.attn (it has a forward hook), out.2 (it is a pack.Linear) and 1 more"
std::string places_text(const json& places) {
  constexpr size_t kShown = 4;
  double seconds = 0.0;
  std::vector<std::string> shown;
  for (const json& place : places) {
    seconds += place.at("seconds").get<double>();
    if (shown.size() < kShown) {
      shown.push_back(place.at("address").get<std::string>() + " (" + place.at("reason").get<std::string>() + ")");
    }
  }
  std::string out = decimal(seconds, 2) + " s in " + std::to_string(places.size()) +
                    (places.size() == 1 ? " place: " : " places: ") + join(shown);
  if (places.size() > kShown) {
    out += " and " + std::to_string(places.size() - kShown) + " more";
  }
  return in_cell(out);
}

std::string summary(const json& report) {
  const json& saved = report.at("seconds_saved");
  const auto sites = report.at("sites").get<std::vector<std::string>>();
  std::vector<Row> rows = {{"run", ""}};
  rows.push_back({"evaluations", count(report.at("evaluations")) + " (" + count(report.at("full")) + " full, " +
                                     count(report.at("inherited")) + " inherited)"});
  rows.push_back({"native calls", count(report.at("native_calls"))});
  rows.push_back({"fallback calls",
                  total_with_reasons(report.at("fallback_calls").get<int64_t>(), report.at("fallback_reasons"))});
  if (const json& walks = report.at("host_walks"); !walks.empty()) {
    rows.push_back({"host's forward", total_with_reasons(sum(walks), walks) + ", its blocks inherited"});
  }
  if (const json& places = report.at("places"); !places.empty()) {
    rows.push_back({"in the host's code", places_text(places)});
  }
  rows.push_back(
      {"forced refreshes", total_with_reasons(sum(report.at("forced_refreshes")), report.at("forced_refreshes"))});
  rows.push_back({"sampling", decimal(report.at("seconds").get<double>(), 2) + " s, of it " +
                                  decimal(report.at("seconds_in_unet").get<double>(), 2) + " s in the UNet"});
  rows.push_back({"saved", saved.is_null() ? "not measured" : decimal(saved.get<double>(), 2) + " s"});
  rows.push_back({"UNet MACs computed", decimal(100.0 * report.at("mac_share").get<double>(), 1) + " %"});
  rows.push_back({"kept between calls", bytes_text(report.at("cache_bytes").get<double>(), 1)});
  rows.push_back({"sites", sites.empty() ? "none" : join(sites)});
  if (report.at("control_calls").get<int64_t>() > 0) {
    rows.push_back({"ControlNet calls", count(report.at("control_calls")) + ", of it " +
                                            count(report.at("skipped_control_calls")) + " not run"});
  }
  const auto caches = report.at("other_caches").get<std::vector<std::string>>();
  if (!caches.empty()) {
    rows.push_back({"other caches", join(caches) + " on the same model; their savings are not counted here"});
  }
  for (const json& note : report.at("notes")) {
    rows.push_back({"note", in_cell(note.get<std::string>())});
  }
  return table(rows, Align::kLeft);
}

/// "out.10, out.8, out.6 and 3 more"
std::string sites_text(const std::vector<std::string>& sites) {
  constexpr size_t kShown = 4;
  std::vector<std::string> shown(sites.begin(), sites.begin() + std::min(sites.size(), kShown));
  const std::string more = sites.size() > kShown ? " and " + std::to_string(sites.size() - kShown) + " more" : "";
  return join(shown) + more;
}

/// Where a run was not as it should be, in the words of users; rows that would say nothing are left out.
void add_troubles(std::vector<Row>& rows, const json& report) {
  if (const auto calls = report.at("fallback_calls").get<int64_t>(); calls > 0) {
    rows.push_back({"in ComfyUI's own code", total_with_reasons(calls, report.at("fallback_reasons"), " calls")});
  }
  if (const json& walks = report.at("host_walks"); !walks.empty()) {
    rows.push_back({"in ComfyUI's own order", total_with_reasons(sum(walks), walks, " calls")});
  }
  if (const json& places = report.at("places"); !places.empty()) {
    rows.push_back({"in ComfyUI's own code", places_text(places)});
  }
  if (const json& refreshes = report.at("forced_refreshes"); !refreshes.empty()) {
    rows.push_back({"had to be computed", total_with_reasons(sum(refreshes), refreshes)});
  }
}

std::vector<Row> summary_rows(const json& report) {
  std::vector<Row> rows;
  rows.push_back({"time", decimal(report.at("seconds").get<double>(), 1) + " s, of it " +
                              decimal(report.at("seconds_in_unet").get<double>(), 1) + " s in the UNet"});
  if (const auto sites = report.at("sites").get<std::vector<std::string>>(); !sites.empty()) {
    rows.push_back({"reused", sites_text(sites)});
  }
  add_troubles(rows, report);
  if (const auto skipped = report.at("skipped_control_calls").get<int64_t>(); skipped > 0) {
    rows.push_back({"ControlNet", count(report.at("skipped_control_calls")) + " of " +
                                      count(report.at("control_calls")) + " calls saved"});
  }
  for (const std::string& hint : report_hints(report.dump())) {
    rows.push_back({"note", in_cell(hint)});
  }
  for (const json& note : report.at("notes")) {
    rows.push_back({"note", in_cell(note.get<std::string>())});
  }
  return rows;
}

std::string no_run_text(const json& report) {
  return std::string(kNoRun) + ": " + report.at("reason").get<std::string>() + "\n";
}

std::string address_table(const json& addresses) {
  std::vector<Row> rows = {{"address", "computed", "inherited", "forecast", "not run"}};
  for (const json& row : addresses) {
    rows.push_back({row.at("address").get<std::string>(), count(row.at("computed")), count(row.at("inherited")),
                    count(row.at("forecast")), count(row.at("not_run"))});
  }
  return table(rows, Align::kRight);
}

}  // namespace

std::string report_summary(std::string_view report_json) {
  return read_report(report_json, [&](const json& report) {
    return found_run(report) ? report_headline(report_json, "**") + "\n\n" + table(summary_rows(report), Align::kLeft)
                             : no_run_text(report);
  });
}

std::string report_table(std::string_view report_json) {
  return read_report(report_json, [](const json& report) {
    if (!found_run(report)) {
      return no_run_text(report);
    }
    std::string out = summary(report);
    if (!report.at("addresses").empty()) {
      out += "\n";
      out += address_table(report.at("addresses"));
    }
    return out;
  });
}

}  // namespace asdm::nodes
