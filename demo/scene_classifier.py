"""A small convnet that says which objects a picture shows. Trained on painted scenes, as they are and as the
autoencoder gives them back, it judges the samples."""
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scenes import CLASSIFIER_SCENES, TEST_SCENES, paint_scene
from torch import nn
from training_log import Stopwatch, TrainingLog
from whole_files import replace_whole

WIDTHS = (32, 64, 128, 192)
BATCH, PEAK_LR, TEST_COUNT = 32, 2e-3, 1000
THRESHOLD = 0.5  # of the probability that an object is there
COARSEST = 3  # a scene is seen as sharp as painted, or as blurred as at 1 / COARSEST of its size
DECODED = 1024  # scenes that went through the autoencoder; half of each batch is drawn from them
LOG_EVERY = 100  # batches


class SceneClassifier(nn.Module):
    """Logits [N, objects] of pictures [N, 3, 128, 128] in [0, 1]."""

    def __init__(self, objects):
        super().__init__()
        layers, width = [nn.AvgPool2d(2)], 3
        for wider in WIDTHS:
            layers += [nn.Conv2d(width, wider, 3, padding=1), nn.BatchNorm2d(wider), nn.ReLU(), nn.MaxPool2d(2)]
            width = wider
        self.features = nn.Sequential(*layers, nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.head = nn.Linear(width, objects)

    def forward(self, pictures):
        # an object is somewhere: the strongest place speaks for it
        return self.head(self.features(pictures - 0.5).amax(dim=(2, 3)))


def _scenes(drawings, first, count):
    """(pictures [count, 3, 128, 128] in [0, 1], which objects [count, objects]) from number `first` on."""
    places = {word: i for i, word in enumerate(drawings)}
    scenes = [paint_scene(drawings, number) for number in range(first, first + count)]
    named = torch.zeros(count, len(places))
    for row, scene in zip(named, scenes, strict=True):
        row[[places[word] for word in scene.words]] = 1
    pictures = torch.stack([torch.from_numpy(scene.pixels) for scene in scenes])
    return pictures.permute(0, 3, 1, 2).float() / 255, named


def _blurred(pictures):
    """As an autoencoder might show them: less sharp, by chance."""
    size = pictures.shape[-1]
    coarse = int(torch.randint(size // COARSEST, size + 1, ()))
    small = F.interpolate(pictures, size=(coarse, coarse), mode="bilinear", antialias=True)
    return F.interpolate(small, size=(size, size), mode="bilinear") + 0.02 * torch.randn_like(pictures)


def classify(net, pictures):
    """bool [N, objects]: which objects the pictures [N, 3, 128, 128] in [0, 1] show."""
    with torch.inference_mode():
        return torch.cat([net(batch).sigmoid() > THRESHOLD for batch in pictures.split(64)])


def test_scores(net, drawings):
    """How often the classifier is right about scenes that it has not seen."""
    pictures, named = _scenes(drawings, TEST_SCENES, TEST_COUNT)
    seen, named = classify(net, pictures), named.bool()
    return {"all_named_found": (seen | ~named).all(dim=1).float().mean().item(),
            "found_of_named": (seen & named).sum().item() / named.sum().item(),
            "named_of_found": (seen & named).sum().item() / max(1, seen.sum().item())}


class _Lessons:
    """Batches of scenes: one half painted for one step, the other of DECODED that `decoded` gave back."""

    def __init__(self, drawings, decoded):
        self._drawings, self._next = drawings, CLASSIFIER_SCENES
        pictures, self._named = self._paint(DECODED)
        self._decoded = torch.cat([decoded(batch) for batch in pictures.split(BATCH)])

    def _paint(self, count):
        self._next += count
        return _scenes(self._drawings, self._next - count, count)

    def batch(self):
        """(pictures [BATCH, 3, 128, 128], which objects [BATCH, objects])"""
        picked = torch.randint(DECODED, (BATCH // 2,))
        again = self._decoded[picked]
        pictures, named = self._paint(BATCH // 2)
        mirrored = again.flip(-1) if torch.rand(()) < 0.5 else again
        return torch.cat([pictures, mirrored]), torch.cat([named, self._named[picked]])


def train_classifier(drawings, decoded, batches, log_path, seed=3):
    """A classifier trained on `batches` batches of scenes. `decoded`: what the autoencoder makes of pictures
    [N, 3, 128, 128] in [0, 1]."""
    torch.manual_seed(seed)
    lessons = _Lessons(drawings, decoded)
    net = SceneClassifier(len(drawings))
    optimizer = torch.optim.AdamW(net.parameters(), lr=PEAK_LR, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, total_steps=batches, pct_start=0.1)
    log, clock, recent = TrainingLog(log_path), Stopwatch(), []
    for step in range(1, batches + 1):
        pictures, named = lessons.batch()
        loss = F.binary_cross_entropy_with_logits(net(_blurred(pictures)), named)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        recent.append(loss.item())
        elapsed = clock.lap()
        if step % LOG_EVERY == 0 or step == batches:
            log.add(stage="scene_classifier", step=step, seconds=round(elapsed, 1),
                    loss=round(sum(recent) / len(recent), 5))
            recent.clear()
    net.eval()
    log.add(stage="scene_classifier_final", step=batches, **test_scores(net, drawings))
    return net


def save_classifier(net, words, path):
    """One fp16 safetensors file; the metadata names the objects in the order of the logits."""
    state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in net.state_dict().items()}
    replace_whole(path, lambda part: save_file(state, str(part), metadata={"objects": ",".join(words)}))


def load_classifier(path, words):
    """The classifier of `save_classifier`, for the objects `words`."""
    with safe_open(str(path), "pt") as stored:
        known = stored.metadata()["objects"].split(",")
    if known != list(words):
        raise ValueError(f"{path}: expected a classifier of {list(words)}, got one of {known}")
    net = SceneClassifier(len(words))
    net.load_state_dict({name: tensor.float() if tensor.is_floating_point() else tensor
                         for name, tensor in load_file(str(path)).items()})
    return net.eval()
