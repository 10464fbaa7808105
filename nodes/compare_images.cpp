// ASDMCompareImages: how far a picture is from its reference.
#include <cstdio>

#include "native/base/error.h"
#include "nodes/factories.h"
#include "nodes/image_metrics.h"

namespace asdm::nodes {
namespace {

constexpr float kGain = 10.0F;  // a difference of 0.1 becomes white; the tooltip says so

std::string size_text(const Image& image) {
  return "a batch of " + std::to_string(image.batch) + " with " + std::to_string(image.width) + " x " +
         std::to_string(image.height) + " pixels";
}

void check_sizes(const Inputs& inputs, const Image& reference, const Image& image) {
  if (reference.batch != image.batch || reference.height != image.height || reference.width != image.width) {
    throw invalid_input(inputs.where("image"), size_text(reference) + ", as the reference has", size_text(image));
  }
  if (reference.pixels.empty()) {
    throw invalid_input(inputs.where("reference"), "at least one pixel", size_text(reference));
  }
  if (reference.pixels.size() != image.pixels.size()) {
    throw internal_fault("ASDMCompareImages", "an Image whose pixels do not fill its size");
  }
}

std::string scores(const Image& reference, const Image& image) {
  char buffer[96];
  const std::optional<double> similarity = ssim(reference, image);
  std::snprintf(buffer, sizeof buffer, "PSNR %.2f dB, ", psnr(reference, image));  // "inf" for equal pictures
  std::string text = buffer;
  if (!similarity) {
    return text + "SSIM needs 11 x 11 pixels";
  }
  std::snprintf(buffer, sizeof buffer, "SSIM %.4f", *similarity);
  return text + buffer;
}

class CompareImages final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMCompareImages";
    schema.display_name = "ASDM Compare Images";
    schema.description =
        "Measures how far pictures are from their references, for instance sampled with and without inheritance: "
        "PSNR and SSIM, averaged over the batch, and a picture of the difference.";
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
  Result run(Host&, const Inputs& inputs) const override {
    const Image& reference = inputs.image("reference");
    const Image& image = inputs.image("image");
    check_sizes(inputs, reference, image);
    const std::string text = scores(reference, image);
    return {.outputs = {text, amplified_difference(reference, image, kGain)}, .ui_text = text};
  }
};

}  // namespace

std::unique_ptr<Node> make_compare_images() { return std::make_unique<CompareImages>(); }

}  // namespace asdm::nodes
