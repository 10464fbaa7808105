// ASDMDistillUNet: trains a compressed UNet back to what its teacher does.
#include "nodes/factories.h"
#include "nodes/unet_check.h"

namespace asdm::nodes {
namespace {

constexpr Range kSteps{0, 1'000'000, 1};
constexpr Range kWeight{0.0, 1000.0, 0.1};

class DistilUNet final : public Node {
 public:
  [[nodiscard]] NodeSchema schema() const override {
    NodeSchema schema;
    schema.id = "ASDMDistillUNet";
    schema.display_name = "ASDM Distill UNet (train)";
    schema.category = "ASDM/compress";
    schema.description =
        "Trains a compressed UNet (ASDM Assemble UNet, ASDM Load UNet) to do what the full one does, on latents and "
        "conditioning from the graph. Takes its time: hundreds of steps at least. For long runs on many machines there "
        "is a command, see docs/distillation.md.";
    schema.search_aliases = {"compress", "distil", "distill", "train", "teacher", "student"};
    schema.is_experimental = true;
    schema.inputs = {
        linked_input("teacher", Kind::kModel, "MODEL with the full UNet; LoRA and merges on it are learnt too."),
        linked_input("student", Kind::kModel, "MODEL with the compressed UNet, out of the teacher's."),
        linked_input("latents", Kind::kLatent, "What to train on: a batch of encoded pictures."),
        linked_input("positive", Kind::kConditioning,
                     "Their descriptions: one for all, or as many as there are latents."),
        int_input(
            "steps", 500, kSteps,
            "Training steps of the whole student, after those of its parts. Higher takes longer and comes closer to the "
            "teacher."),
        int_input("batch_size", 4, {1, 4096, 1}, "Latents in a step. Higher is steadier and takes more memory."),
        float_input(
            "learning_rate", 5e-5, {0.0, 1.0, 1e-6},
            "Largest step of AdamW, after a warm-up and before a cosine. Higher learns faster and may diverge."),
        seed_input(2147483647, "Of the noise and of the order of the latents. The same seed gives the same UNet."),
        int_input(
            "local_steps", 0, kSteps,
            "Training steps of each encoder and decoder pair by itself, on what the teacher has around it, before all "
            "others. Cheap: nothing else is computed backwards."),
        int_input("implant_steps", 0, kSteps,
                  "Training steps of each pair inside the frozen teacher, after local_steps."),
        float_input("task_loss", 1.0, kWeight,
                    "Weight of the error against the noise that was put in. 0 leaves it out."),
        float_input("output_loss", 1.0, kWeight,
                    "Weight of the error against the prediction of the teacher. 0 leaves it out."),
        float_input("feature_loss", 1.0, kWeight,
                    "Weight of the relative error of each block against that of the teacher. 0 leaves it out."),
        float_input(
            "semantic_loss", 0.0, kWeight,
            "Weight of the distance in meaning of the predicted clean latents, as the middle block of the teacher sees "
            "them. 0 leaves it out."),
        string_input("checkpoint", "",
                     "Name under which the training is kept in ComfyUI's output folder. A stopped run "
                     "with the same settings goes on from there. Empty: nothing is kept."),
    };
    schema.outputs = {{"MODEL", Kind::kModel, "The trained UNet, in the native engine."},
                      {"loss_plot", Kind::kImage, "The loss over the steps."}};
    return schema;
  }

 private:
  Result run(Host& host, const Inputs& inputs) const override {
    const Handle& teacher = inputs.handle("teacher");
    const Handle& student = inputs.handle("student");
    require_unet(host, teacher, inputs.where("teacher"));
    require_unet(host, student, inputs.where("student"));
    const Distilled distilled = host.distil_unet(teacher, student, inputs.handle("latents"), inputs.handle("positive"),
                                                 inputs.read<DistilOptions>());
    return {.outputs = {host.with_native_engine(distilled.model, "auto"), distilled.loss_plot}};
  }
};

}  // namespace

std::unique_ptr<Node> make_distil_unet() { return std::make_unique<DistilUNet>(); }

}  // namespace asdm::nodes
