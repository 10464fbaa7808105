// Puts the node that most look for among those that the canvas offers where a link of a MODEL is dropped.
import { app } from "../../scripts/app.js";

const NODE = "ASDMFeatureInheritance";
const TYPE = "MODEL";

function put(nodes) {
  if (!nodes) return;
  const at = nodes.indexOf(NODE);
  if (at >= 0) nodes.splice(at, 1);
  nodes.splice(Math.min(1, nodes.length), 0, NODE); // behind Reroute
}

app.registerExtension({
  name: "ASDM.LinkMenu",
  setup() {
    // The host's own list, of which it shows the first few, as many as its setting says.
    const defaults = app.extensions.find(({ name }) => name === "Comfy.SlotDefaults");
    put(defaults?.slot_types_default_out?.[TYPE]);
    if (defaults?.suggestionsNumber) defaults.setDefaults(defaults.suggestionsNumber.value);
    else put(window.LiteGraph.slot_types_default_out?.[TYPE]);
  },
});
