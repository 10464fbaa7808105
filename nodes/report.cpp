// ASDMReport: what a sampling run did and what it cost.
#include "nodes/factories.h"
#include "nodes/report_json.h"
#include "nodes/report_table.h"

namespace asdm::nodes {
namespace {

std::string recorded_plan(std::string_view report_json) {
  return read_report(report_json, [](const nlohmann::json& report) {
    return found_run(report) ? report.at("plan").get<std::string>() : std::string();
  });
}

class Report final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMReport";
    schema.display_name = "ASDM Report (speed)";
    schema.category = "ASDM/inspect";
    schema.description =
        "Shows what the sampling run that made a latent did, as a table and a picture: evaluations, what was computed, "
        "inherited, forecast or not run, calls that fell back to the host and why, measured time and stored bytes. "
        "Gives the plan of the run, which ASDM Apply Plan replays.";
    schema.search_aliases = {"speed", "time", "profile", "statistics", "how fast"};
    schema.inputs = {
        linked_input("model", Kind::kModel, "The MODEL that the sampler used."),
        linked_input("latent", Kind::kLatent,
                     "The LATENT that the sampler gave; passes through, so that the report is made after sampling."),
    };
    schema.outputs = {
        {"LATENT", Kind::kLatent, "The latent, unchanged."},
        {"table", Kind::kString, "The report as text (Markdown tables); Preview Any shows it."},
        {"strip", Kind::kImage, "Addresses by evaluations, coloured by what was done."},
        {"plan", Kind::kString, "The plan of the run as JSON, for ASDM Apply Plan. Empty where there was no run."},
    };
    schema.is_output_node = true;
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const Handle& latent = inputs.handle("latent");
    const std::string report = host.run_report(inputs.handle("model"), latent);
    const std::string table = report_table(report);
    const Handle strip = host.run_strip(report);
    return {
        .outputs = {latent, table, strip, recorded_plan(report)}, .ui_text = report_summary(report), .ui_image = strip};
  }
};

}  // namespace

std::unique_ptr<Node> make_report() { return std::make_unique<Report>(); }

}  // namespace asdm::nodes
