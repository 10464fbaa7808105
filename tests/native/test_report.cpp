#include <gtest/gtest.h>

#include <string>

#include "nodes/registry.h"
#include "nodes/report_headline.h"
#include "nodes/report_table.h"
#include "tests/native/error_of.h"
#include "tests/native/recording_host.h"

namespace asdm::nodes {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::label_of;
using testing::named;
using testing::RecordingHost;

const std::string kReport = R"({"found":true,"evaluations":4,"idle":0,"native_calls":38,"fallback_calls":2,
  "fallback_reasons":{"gligen":2},"host_walks":{},"places":[],"full":2,"inherited":2,"forced_refreshes":{"missing feature":2,"sigma rose":1},
  "seconds":12.345,"seconds_in_unet":11.5,"seconds_saved":8.211,"cache_bytes":3565158,"mac_share":0.4123,
  "control_calls":0,"skipped_control_calls":0,"other_caches":[],"notes":[],"plan":"{a plan}",
  "sites":["out.8","out.5"],"sigmas":[14.6,7.5,3.1,0.03],
  "addresses":[{"address":"in.0","computed":20,"inherited":0,"forecast":0,"not_run":0,"actions":"cccc"},
               {"address":"out.8","computed":7,"inherited":9,"forecast":4,"not_run":0,"actions":"cicf"},
               {"address":"mid","computed":7,"inherited":0,"forecast":0,"not_run":13,"actions":"c-h-"}]})";

const std::string kTable =
    "| run                |                                       |\n"
    "| ------------------ | ------------------------------------- |\n"
    "| evaluations        | 4 (2 full, 2 inherited)               |\n"
    "| native calls       | 38                                    |\n"
    "| fallback calls     | 2 (gligen: 2)                         |\n"
    "| forced refreshes   | 3 (missing feature: 2, sigma rose: 1) |\n"
    "| sampling           | 12.35 s, of it 11.50 s in the UNet    |\n"
    "| saved              | 8.21 s                                |\n"
    "| UNet MACs computed | 41.2 %                                |\n"
    "| kept between calls | 3.4 MiB                               |\n"
    "| sites              | out.8, out.5                          |\n"
    "\n"
    "| address | computed | inherited | forecast | not run |\n"
    "| ------- | -------: | --------: | -------: | ------: |\n"
    "| in.0    |       20 |         0 |        0 |       0 |\n"
    "| out.8   |        7 |         9 |        4 |       0 |\n"
    "| mid     |        7 |         0 |        0 |      13 |\n";

std::string with(const std::string& from, const std::string& to) {
  std::string text = kReport;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Report, TableOfARun) { EXPECT_EQ(report_table(with("12.345", "12.346")), kTable); }

const std::string kSummary =
    "**1.7x faster** · 2 of 4 full · 8.2 s saved · 41 % of the work · 3 MiB kept\n"
    "\n"
    "| time                  | 12.3 s, of it 11.5 s in the UNet |\n"
    "| --------------------- | ----------------------------- |\n"
    "| reused                | out.8, out.5                                                                          |\n"
    "| in ComfyUI's own code | 2 calls (gligen: 2)                                                                   |\n"
    "| had to be computed    | 3 (missing feature: 2, sigma rose: 1)                                                 |\n"
    "| note                  | few steps (4): neighbours differ much, so expect visible changes; 15 or more suit reuse |\n";

/// Without the blanks that pad cells.
std::string squeezed(const std::string& text) {
  std::string out;
  for (const char letter : text) {
    if ((letter != ' ' && letter != '-') || out.empty() || out.back() != letter) {
      out += letter;
    }
  }
  return out;
}

TEST(Report, SummaryOfARunInTheWordsOfUsers) { EXPECT_EQ(squeezed(report_summary(kReport)), squeezed(kSummary)); }

TEST(Report, SummaryLeavesOutWhatWouldSayNothing) {
  const std::string plain = report_summary(
      R"({"found":true,"evaluations":20,"idle":0,"native_calls":20,"fallback_calls":0,"fallback_reasons":{},
      "host_walks":{},"places":[],"full":20,"inherited":0,"forced_refreshes":{},"seconds":9.0,"seconds_in_unet":8.04,
      "seconds_saved":null,"cache_bytes":0,"mac_share":1.0,"control_calls":0,"skipped_control_calls":0,
      "other_caches":[],"notes":[],"sites":[]})");
  EXPECT_EQ(squeezed(plain),
            "**exact** · 20 of 20 full · 8.0 s in the UNet\n\n| time | 9.0 s, of it 8.0 s in the UNet |\n| - | - |\n");
}

TEST(Report, HeadlineClaimsNoMoreThanWasMeasured) {
  EXPECT_EQ(report_headline(with("8.211", "null")), "2 of 4 full · 41 % of the work · 3 MiB kept");
  EXPECT_TRUE(report_headline(with("8.211", "0.1")).starts_with("not faster · "));
  EXPECT_TRUE(report_headline(with("8.211", "-0.5")).starts_with("not faster · 2 of 4 full · 41 %"));
  expect_contains(report_headline(with("\"idle\":0", "\"idle\":1")), "2 of 4 full, 1 without the UNet · ");
}

TEST(Report, HintsAtFewStepsAndOtherCaches) {
  EXPECT_EQ(report_hints(kReport).size(), 1U);
  EXPECT_TRUE(report_hints(with("\"evaluations\":4", "\"evaluations\":10")).empty());
  expect_contains(report_hints(with("\"other_caches\":[]", "\"other_caches\":[\"EasyCache\"]")).back(),
                  "EasyCache works on the same model");
}

TEST(Report, WhatWasNotMeasuredIsNotClaimed) {
  expect_contains(report_table(with("8.211", "null")), "| saved              | not measured ");
  expect_contains(report_table(with(R"(["out.8","out.5"])", "[]")), "| sites              | none ");
  expect_contains(report_table(with("3565158", "512")), "| kept between calls | 512 B ");
}

TEST(Report, SaysWhatElseTheRunMet) {
  expect_contains(report_table(with("\"control_calls\":0,\"skipped_control_calls\":0",
                                    "\"control_calls\":20,\"skipped_control_calls\":13")),
                  "| ControlNet calls   | 20, of it 13 not run ");
  expect_contains(report_table(with("\"other_caches\":[]", "\"other_caches\":[\"EasyCache\"]")),
                  "| other caches       | EasyCache on the same model; ");
  const std::string noted = report_table(with("\"notes\":[]", R"("notes":["first","second | third"])"));
  expect_contains(noted, "| note               | first ");
  expect_contains(noted, "| note               | second / third ");
}

TEST(Report, AReasonCannotEndItsCell) { expect_contains(report_table(with("gligen", "a|b")), "| 2 (a/b: 2) "); }

TEST(Report, PassesTheLatentOnAndShowsTheTable) {
  RecordingHost host;
  host.report = kReport;
  const Handle latent = named("latent");
  const Result result = find_node("ASDMReport").execute(host, {{"model", named("model")}, {"latent", latent}});
  EXPECT_EQ(std::get<Handle>(result.outputs.at(0)), latent);
  EXPECT_EQ(std::get<std::string>(result.outputs.at(1)), report_table(kReport));
  EXPECT_EQ(label_of(std::get<Handle>(result.outputs.at(2))), "strip of " + std::string(kReport));
  EXPECT_EQ(std::get<std::string>(result.outputs.at(3)), "{a plan}");
  EXPECT_EQ(result.ui_text, report_summary(kReport));
  EXPECT_EQ(result.ui_image, std::get<Handle>(result.outputs.at(2)));
  EXPECT_EQ(host.calls, std::vector<std::string>{"run_report model latent"});
}

TEST(Report, SaysWhenThereWasNoRun) {
  expect_contains(report_table(R"({"found":false,"reason":"connect another"})"),
                  "no run of this model made this latent: connect another");
}

TEST(Report, ABrokenReportIsTheFaultOfThePack) {
  for (const std::string& report : {std::string("nonsense"), std::string(R"({"found":true})"), with("20", "\"20\"")}) {
    expect_contains(error_of([&] { return report_table(report); }), "internal fault of ComfyUI-ASDM");
  }
}

}  // namespace
}  // namespace asdm::nodes
