// ASDMReport: what a sampling run did and what it cost.
#include "nodes/factories.h"
#include "nodes/report_table.h"

namespace asdm::nodes {
namespace {

class Report final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMReport";
    schema.display_name = "ASDM Report";
    schema.description =
        "Shows what the last sampling run of a model did: evaluations, how many were full and how many inherited, "
        "calls that fell back to the host and why, measured time and stored bytes.";
    schema.inputs = {
        linked_input("model", Kind::kModel, "The MODEL that the sampler used."),
        linked_input("latent", Kind::kLatent,
                     "The LATENT that the sampler gave; passes through, so that the report is made after sampling."),
    };
    schema.outputs = {
        {"LATENT", Kind::kLatent, "The latent, unchanged."},
        {"table", Kind::kString, "The report as text (Markdown tables); Preview Any shows it."},
    };
    schema.is_output_node = true;
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const Handle& latent = inputs.handle("latent");
    const std::string table = report_table(host.run_report(inputs.handle("model"), latent));
    return {{latent, table}, table};
  }
};

}  // namespace

std::unique_ptr<Node> make_report() { return std::make_unique<Report>(); }

}  // namespace asdm::nodes
