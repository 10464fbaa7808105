// ASDMCompareImages: how far a picture is from its reference.
#include <cstdio>

#include "nodes/factories.h"

namespace asdm::nodes {
namespace {

constexpr double kGain = 10.0;  // a difference of 0.1 becomes white; the tooltip says so

std::string text_of(const ImageScores& scores) {
  char buffer[96];
  if (scores.ssim) {
    std::snprintf(buffer, sizeof buffer, "PSNR %.2f dB, SSIM %.4f", scores.psnr, *scores.ssim);  // "inf" for equal ones
  } else {
    std::snprintf(buffer, sizeof buffer, "PSNR %.2f dB, SSIM needs 11 x 11 pixels", scores.psnr);
  }
  return buffer;
}

class CompareImages final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMCompareImages";
    schema.display_name = "ASDM Compare Images (quality)";
    schema.category = "ASDM/inspect";
    schema.description =
        "Measures how far pictures are from their references, for instance sampled with and without inheritance: "
        "PSNR and SSIM, averaged over the batch, and a picture of the difference.";
    schema.search_aliases = {"psnr", "ssim", "difference", "quality", "compare"};
    schema.inputs = {
        linked_input("reference", Kind::kImage, "The pictures to measure against."),
        linked_input("image", Kind::kImage, "The pictures to measure; same number and size as the reference."),
    };
    schema.outputs = {
        {"scores", Kind::kString,
         "PSNR in dB from the squared error averaged over the batch (inf: equal), and SSIM over R, G and B with a "
         "Gaussian window of 11 x 11 pixels (1: equal)."},
        {"difference", Kind::kImage, "Absolute difference times 10, so that small ones can be seen."},
    };
    schema.is_output_node = true;
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const ImageScores scores = host.compare_images(inputs.handle("reference"), inputs.handle("image"), kGain);
    const std::string text = text_of(scores);
    return {.outputs = {text, scores.difference}, .ui_text = text};
  }
};

}  // namespace

std::unique_ptr<Node> make_compare_images() { return std::make_unique<CompareImages>(); }

}  // namespace asdm::nodes
